//! Faults of the journal, for tests: a batch of the writer's that fails, having been written or
//! not. As after a true one, nothing is written from then on.

use fjall::OwnedWriteBatch;
use parking_lot::Mutex;

use crate::kv::conformance::outcomes::Fault;

/// What is to go wrong, and what has.
#[derive(Default)]
pub struct Faults(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    Unarmed,
    /// After so many more batches that go well.
    Armed(Fault, u32),
    Struck,
}

impl Faults {
    pub fn arm(&self, fault: Fault, step: u32) {
        *self.0.lock() = State::Armed(fault, step);
    }

    pub fn struck(&self) -> bool {
        matches!(*self.0.lock(), State::Struck)
    }

    pub fn write(&self, batch: OwnedWriteBatch) -> fjall::Result<()> {
        let mut state = self.0.lock();
        match &mut *state {
            State::Unarmed => batch.commit(),
            State::Struck => Err(fjall::Error::Poisoned),
            State::Armed(_, step @ 1..) => {
                *step -= 1;
                batch.commit()
            }
            State::Armed(fault, 0) => {
                let written = matches!(fault, Fault::AnswerLost | Fault::GoneAfter);
                *state = State::Struck;
                if written {
                    batch.commit()?;
                }
                Err(std::io::Error::other("injected: fsync failed").into())
            }
        }
    }
}
