//! Broken byte streams against the real loop: it never panics, never hangs, and a sane client is
//! served beside them.
//!
//! Recorded sessions are mutated under a seed: bits flipped, lengths changed, pieces cut out,
//! doubled and swapped. `SLUICE_FUZZ_SECONDS` sets for how long, `SLUICE_FUZZ_SEED` where to
//! begin.

use std::time::Duration;

use sluice::clock::{Clock, SimulatedClock, SystemClock};
use sluice::wire::auth::Method;
use sluice::wire::serve;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::server::*;

/// How long by default.
const SECONDS: u64 = 3;

/// A stream that takes longer to be answered hangs.
const ANSWER_MAX: Duration = Duration::from_secs(10);

struct Random(SimulatedClock);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.random(&mut bytes);
        (u64::from_le_bytes(bytes) % bound.max(1) as u64) as usize
    }
}

fn startup() -> Vec<u8> {
    let body = format!("\0\x03\0\0user\0{USER}\0database\0{DATABASE}\0\0").into_bytes();
    let mut packet = (body.len() as u32 + 4).to_be_bytes().to_vec();
    packet.extend(body);
    packet
}

/// Sessions as clients have them.
fn recorded() -> Vec<Vec<Vec<u8>>> {
    let copied = message(b'd', b"1\tone\n2\ttwo\n");
    vec![
        vec![startup(), query("select 1, 'x', null"), query("show all"), message(b'X', b"")],
        vec![vec![0, 0, 0, 8, 4, 210, 22, 47], startup(), query("begin; select 1/0; commit")],
        vec![
            startup(),
            parse("s", "select $1::int + 1, $2::text"),
            describe('S', "s"),
            bind("p", "s", &[Some("41"), None]),
            describe('P', "p"),
            execute("p", 1),
            execute("p", 0),
            message(b'C', b"Pp\0"),
            message(b'H', b""),
            sync(),
            query("select * from generate_series(1, 100) x"),
        ],
        vec![
            startup(),
            query("copy (select 1, 2) to stdout (format binary)"),
            query("copy nowhere from stdin"),
            copied.clone(),
            copied,
            message(b'c', b""),
            message(b'f', b"no\0"),
            sync(),
        ],
        vec![vec![0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 1, 2, 3, 4]],
        vec![
            startup(),
            message(b'p', b"SCRAM-SHA-256\0\0\0\0\x15n,,n=,r=abcdefghijklmn"),
            message(b'p', b"c=biws,r=abcdefghijklmn,p=AAAA"),
            query("select 1"),
        ],
    ]
}

/// One of the ways in which a stream breaks.
fn mutate(stream: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(stream.len());
    let len = 1 + random.below(16).min(stream.len() - at);
    let end = (at + len).min(stream.len());
    match random.below(8) {
        0 => stream[at] ^= 1 << random.below(8),
        1 => stream[at] = random.below(256) as u8,
        2 => drop(stream.drain(at..end)),
        3 => stream.truncate(at + 1),
        4 => {
            let piece = stream[at..end].to_vec();
            stream.splice(at..at, piece);
        }
        5 => {
            let other = random.below(stream.len());
            stream.swap(at, other);
        }
        6 => {
            let extremes = [[0xff; 4], [0x7f, 0xff, 0xff, 0xff], [0; 4], [0, 0, 0, 3]];
            let value = extremes[random.below(extremes.len())];
            let end = (at + 4).min(stream.len());
            stream[at..end].copy_from_slice(&value[..end - at]);
        }
        _ => stream.insert(at, random.below(256) as u8),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_streams_break_nothing() {
    let number = |name: &str, default| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let clock = SystemClock::new();
    let until = clock.monotonic() + Duration::from_secs(number("SLUICE_FUZZ_SECONDS", SECONDS));
    let first = number("SLUICE_FUZZ_SEED", clock.wall_micros() as u64);
    let gates = [gate(Method::Trust).await, gate(Method::Scram).await];
    let recorded = recorded();
    let mut seed = first;
    while clock.monotonic() < until {
        seed += 1;
        let mut random = Random(SimulatedClock::new(0, seed));
        let session = &recorded[random.below(recorded.len())];
        let mut messages = session.clone();
        if random.below(4) == 0 {
            let (a, b) = (random.below(messages.len()), random.below(messages.len()));
            messages.swap(a, b);
        }
        let mut stream = messages.concat();
        for _ in 0..1 + random.below(4) {
            if !stream.is_empty() {
                mutate(&mut stream, &mut random);
            }
        }
        let gate = gates[random.below(gates.len())].clone();
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let served = tokio::spawn(serve(gate, theirs, None, None, None));
        let (mut reader, mut writer) = tokio::io::split(ours);
        let talk = async {
            let read = async {
                let mut answers = Vec::new();
                let _ = reader.read_to_end(&mut answers).await;
            };
            let write = async {
                let _ = writer.write_all(&stream).await;
                let _ = writer.shutdown().await;
            };
            tokio::join!(read, write);
            served.await
        };
        let ended = tokio::time::timeout(ANSWER_MAX, talk).await;
        let seed_is = format!("SLUICE_FUZZ_SEED={}", seed - 1);
        ended.unwrap_or_else(|_| panic!("hangs: {seed_is}")).unwrap_or_else(|e| {
            panic!("panics: {seed_is}: {e}");
        });
    }
    let server = TestServer::start().await;
    assert_eq!(server.raw().await.query("select 1").await, "columns 1; row 1; SELECT 1; ready I");
}
