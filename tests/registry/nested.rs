//! Repositories inside repositories: `mina` and `mina/daemon` are two.

use janitor_testkit::Registry;

use crate::stage::{assert_all_pull, janitor, names, push_versions};

#[test]
fn a_repository_and_the_one_inside_it_are_pruned_apart() {
    let registry = Registry::start();
    push_versions(&registry, "mina", 3);
    push_versions(&registry, "mina/daemon", 4);
    push_versions(&registry, "mina/daemon/archive", 1);

    let outcome = janitor(&registry).keep(2).run().assert_code(0);

    let client = registry.client();
    assert_eq!(client.tags("mina"), names(&["v2", "v3"]));
    assert_eq!(client.tags("mina/daemon"), names(&["v3", "v4"]));
    assert_eq!(client.tags("mina/daemon/archive"), names(&["v1"]));
    for repository in ["mina", "mina/daemon", "mina/daemon/archive"] {
        assert_all_pull(&registry, repository);
    }
    assert_eq!(outcome.total("repositories"), 3);
    assert_eq!(client.catalog(), names(&["mina", "mina/daemon", "mina/daemon/archive"]));
}

#[test]
fn a_repository_without_a_parent_repository_is_found() {
    let registry = Registry::start();
    push_versions(&registry, "only/a/deep/one", 3);

    janitor(&registry).keep(1).run().assert_code(0);

    assert_eq!(registry.client().tags("only/a/deep/one"), names(&["v3"]));
    assert_all_pull(&registry, "only/a/deep/one");
}

#[test]
fn tags_with_names_like_the_registrys_own_directories_are_tags() {
    let registry = Registry::start();
    let images = push_versions(&registry, "app", 2);
    for tag in ["_layers", "_manifests", "current", "link"] {
        registry.client().push("app", tag, &images[1]);
    }

    let outcome = janitor(&registry).keep(10).run().assert_code(0);

    assert_eq!(outcome.total("repositories"), 1);
    assert_eq!(outcome.total("tags"), 6);
    assert_all_pull(&registry, "app");
}
