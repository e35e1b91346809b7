//! Tests of `support::workload`.

use std::collections::BTreeSet;

use crate::support::bundles::bundle;
use crate::support::model::Model;
use crate::support::workload::*;

#[test]
fn equal_seeds_give_equal_streams_and_others_do_not() {
    let stream = |seed| -> Vec<_> {
        let mut workload = Workload::new(seed, 6).with_databases(3);
        (0..100).map(|_| workload.next()).collect()
    };
    assert_eq!(stream(1), stream(1));
    assert_ne!(stream(1), stream(2));
}

#[test]
fn operations_of_several_commands_are_of_every_kind() {
    let bundles = Bundles { exec: 20, watch: 20, eval: 20, whole_keyspace: true, session: true };
    let mut workload = Workload::new(5, 8).with_databases(3).with_bundles(bundles);
    let mut names = BTreeSet::new();
    for _ in 0..5000 {
        let (_, request) = workload.next();
        if let Some(bundle) = bundle(&request) {
            assert!((1..=6).contains(&bundle.commands.len()), "{request:?}");
            names.extend(bundle.commands.into_iter().map(|command| command[0].clone()));
        }
        names.insert(request[0].clone());
    }
    assert_eq!(names.len(), 26 + 6, "commands drawn: {names:?}");
}

#[test]
fn the_model_knows_every_command() {
    let mut workload = Workload::new(5, 8).with_databases(3);
    let mut model = Model::new();
    let mut names = BTreeSet::new();
    for _ in 0..5000 {
        let (db, request) = workload.next();
        model.execute(db, &request);
        names.insert(request[0].clone());
    }
    assert_eq!(names.len(), 26, "commands drawn: {names:?}");
}
