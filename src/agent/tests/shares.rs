//! Two agents that share an export: what each has collected is exchanged, and written once.

use std::collections::BTreeSet;

use super::*;
use crate::agent::job::{Job, Place, Step};
use crate::agent::message::{Cut, Order, OthersPart, Whom, Write};
use crate::columnar::engine::{ExportRequest, Exported};
use crate::columnar::export::FileOptions;
use crate::columnar::fixture::{Table, every_type};
use crate::columnar::replicas::Sample;
use crate::columnar::shared::ViewStore;
use crate::columnar::sstable::token::Tokens;
use crate::kv::lwt::Sorter;
use crate::kv::{Entry, KeyRange};

struct Jobs {
    dir: TempDir,
    table: Table,
    jobs: Vec<Arc<Job>>,
}

async fn jobs(count: usize) -> Jobs {
    let dir = tempfile::tempdir().unwrap();
    let mut table = Table::new(&every_type(), 2, 11);
    table.churn(3000, 1500, 10).await;
    let url = format!("file://{}", dir.path().join("views").display());
    let store = Arc::new(ViewStore::open(&url, "app").unwrap());
    let at = table.store.snapshot().await.unwrap().at;
    let request = ExportRequest {
        table: table.descriptor.clone(),
        at,
        folder: "1-1".to_owned(),
        first_file: 65_536,
        file: FileOptions { file_rows_max: 400, group_rows: 100, zstd_level: Some(1) },
    };
    let jobs = Tokens::parts(count).into_iter().enumerate().map(|(n, tokens)| {
        let scratch = dir.path().join(n.to_string());
        std::fs::create_dir(&scratch).unwrap();
        let tool = Tool::nodetool("true", clock()).unwrap();
        let node = Arc::new(Node::new(tool, vec![scratch.clone()], "app", clock()).unwrap());
        let (host, store) = (n.to_string(), store.clone());
        let place = Arc::new(Place { host, node, store, scratch, clock: clock() });
        let order = Order { request: request.clone(), replicas: Vec::new(), tokens };
        Arc::new(Job::new(place, order).unwrap())
    });
    let jobs = jobs.collect();
    Jobs { dir, table, jobs }
}

/// Runs a step; its turn has come.
async fn run(job: &Arc<Job>, step: Step) {
    assert!(job.begin(&step));
    let job = job.clone();
    tokio::task::spawn_blocking(move || job.run(step)).await.unwrap();
}

impl Jobs {
    /// The rows of the table, dealt out to the jobs in no order, as if they had collected them.
    async fn deal(&self) -> usize {
        let at = self.table.store.snapshot().await.unwrap();
        let range = KeyRange::all(self.table.descriptor.space());
        let mut rows = self.table.store.segments(&range, at.at).unwrap();
        let mut all: Vec<Entry> = Vec::new();
        loop {
            match rows.next(500).unwrap() {
                some if some.is_empty() => break,
                some => all.extend(some),
            }
        }
        let count = all.len();
        for (n, job) in self.jobs.iter().enumerate() {
            run(job, Step::Collect).await;
            let mut sorter = Sorter::in_dir(self.dir.path().to_owned());
            let mut sample = Sample { keys: Vec::new(), each: 1 };
            let own = all.iter().skip(n).step_by(self.jobs.len()).rev();
            for (nth, entry) in own.enumerate() {
                sample.add(nth as u64, &entry.key);
                sorter.add(entry.clone()).unwrap();
            }
            job.has_collected(sorter.finish().unwrap(), sample);
        }
        count
    }

    /// Serves parts of a job.
    async fn serve(&self, n: usize) -> Peer {
        let job = self.jobs[n].clone();
        served(move |request| {
            let number = request.path.strip_prefix("/parts/").unwrap_or_default();
            match job.part(number) {
                Some(path) => {
                    let file = std::fs::File::open(path).unwrap();
                    let len = file.metadata().unwrap().len();
                    Answer::File { file: tokio::fs::File::from_std(file), from: request.from, len }
                }
                None => Answer::refused(404, "there is no such part"),
            }
        })
        .await
    }

    fn exported(&self, n: usize) -> Exported {
        let state = self.jobs[n].state();
        assert_eq!(state.phase, "done", "{:?}", state.error);
        state.exported.unwrap()
    }
}

#[tokio::test]
async fn parts_are_exchanged_and_written_once() {
    let all = jobs(2).await;
    let rows = all.deal().await;
    let samples: Vec<Sample> = all.jobs.iter().map(|job| job.state().sample.unwrap()).collect();
    let bounds = Sample::bounds(&samples, 2);
    for job in &all.jobs {
        run(job, Step::Cut(Cut { bounds: bounds.clone() })).await;
        assert_eq!(job.state().phase, "cut");
    }
    for n in 0..2 {
        let Peer { address, secret } = all.serve(1 - n).await;
        let part = all.jobs[1 - n].state().parts[n].clone();
        let agent = Whom { host: "other".to_owned(), address, secret };
        let others = vec![OthersPart { agent, path: format!("/parts/{n}"), part }];
        let first_file = 65_536 + n as u64 * 100;
        run(&all.jobs[n], Step::Write(Write { part: Some(n), others, first_file })).await;
    }
    let [one, two] = [all.exported(0), all.exported(1)];
    let written = |e: &Exported| e.records.iter().map(|r| r.rows as usize).sum::<usize>();
    assert_eq!(written(&one) + written(&two), rows);
    assert!(written(&one).abs_diff(written(&two)) < rows / 20, "of like size");
    let last = &one.records.last().unwrap().last_key;
    assert!(*last < two.records[0].first_key, "ranges of their own");
    let numbers: BTreeSet<u64> =
        one.records.iter().chain(&two.records).map(|record| record.number).collect();
    assert_eq!(numbers.len(), one.records.len() + two.records.len());
    assert_eq!((one.records[0].number, two.records[0].number), (65_536, 65_636));
}

#[tokio::test]
async fn one_alone_writes_what_it_collected() {
    let all = jobs(1).await;
    let rows = all.deal().await;
    let early = Step::Write(Write { part: Some(0), others: Vec::new(), first_file: 5 });
    assert!(!all.jobs[0].begin(&early), "nothing was cut");
    run(&all.jobs[0], Step::Write(Write { part: None, others: Vec::new(), first_file: 5 })).await;
    let exported = all.exported(0);
    assert_eq!(exported.records.iter().map(|r| r.rows as usize).sum::<usize>(), rows);
    assert_eq!(exported.next_file, 5 + exported.records.len() as u64);
}

#[tokio::test]
async fn a_part_that_is_not_what_was_told_is_refused() {
    let all = jobs(2).await;
    all.deal().await;
    for job in &all.jobs {
        run(job, Step::Cut(Cut { bounds: vec![String::new()] })).await;
    }
    let Peer { address, secret } = all.serve(1).await;
    let mut part = all.jobs[1].state().parts[1].clone();
    part.crc ^= 1;
    let agent = Whom { host: "other".to_owned(), address, secret };
    let others = vec![OthersPart { agent, path: "/parts/1".to_owned(), part }];
    run(&all.jobs[0], Step::Write(Write { part: Some(1), others, first_file: 5 })).await;
    let state = all.jobs[0].state();
    assert_eq!((state.phase.as_str(), state.host.as_deref()), ("failed", Some("other")));
    assert!(state.exported.is_none() && state.error.unwrap().contains("another checksum"));
}
