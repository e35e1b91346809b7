//! Tests of `support::workload`.

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
fn the_model_knows_every_command() {
    let mut workload = Workload::new(5, 8).with_databases(3);
    let mut model = Model::new();
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..5000 {
        let (db, request) = workload.next();
        model.execute(db, &request);
        names.insert(request[0].clone());
    }
    assert_eq!(names.len(), 26, "commands drawn: {names:?}");
}
