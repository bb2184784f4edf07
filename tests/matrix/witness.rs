//! What is whole in a store: by its files in every cell, and by the real registry's word in some.

use std::collections::BTreeMap;

use janitor_testkit::{Registry, RegistryOptions, StoreView};

use crate::template::Template;

/// What a pull of each of the template's references lacks; `None` where it is whole.
pub(crate) type Pulls = BTreeMap<(&'static str, String), Option<String>>;

/// What would be missing of everything that the template has.
pub(crate) fn look(view: &StoreView, template: &Template) -> Pulls {
    let look = |(repository, reference): &(&'static str, String)| {
        let lacks = view.lacks(repository, reference);
        ((*repository, reference.clone()), (!lacks.is_empty()).then(|| lacks.join(", ")))
    };
    template.references.iter().map(look).collect()
}

/// Pulls everything that the template has from a registry, and tells where the files had said otherwise.
pub(crate) fn contradictions(view: &StoreView, template: &Template, looked: &Pulls) -> Vec<String> {
    let store = Some(view.root().to_owned());
    let registry = Registry::start_with(RegistryOptions { store, ..RegistryOptions::default() });
    let client = registry.client();
    let mut wrong = Vec::new();
    for (repository, reference) in &template.references {
        let lacks = client.pull(repository, reference).err().map(|missing| missing.to_string());
        let by_files = &looked[&(*repository, reference.clone())];
        if by_files.is_some() != lacks.is_some() {
            wrong.push(format!(
                "{repository}:{reference} lacks by its files {by_files:?}, by the registry {lacks:?}"
            ));
        }
    }
    wrong
}
