//! Columnar scans that several gateways have shares of.
//!
//! The gateway that was asked plans a query as ever, with the views' rows, masks and changes of its
//! own snapshot. Where the scans are large enough, `datafusion-distributed` cuts the plan into
//! stages: each task of a stage has a share of the row groups (`ViewScan::shares`), and one of
//! them what changed since. A task is given to a gateway with all it needs (`codec`), so that the
//! others need no transaction, and answers are of the one snapshot; they read the files, which have
//! the same names everywhere, from their own copies of the view.
//!
//! What another gateway cannot do, because it is gone, has another generation or runs out of
//! memory, this one does alone: a query whose first rows were not given yet begins again here. So
//! do those that fail, and their errors are those of any query.
//!
//! Whoever has the secret can have any view read and any plan run; without one, only addresses of
//! this machine are listened on.

#[cfg(feature = "spread")]
mod codec;
#[cfg(feature = "spread")]
mod gateways;
#[cfg(not(feature = "spread"))]
mod none;

#[cfg(feature = "spread")]
pub use gateways::{Functions, Peers, Spread, SpreadOptions, measured};
#[cfg(not(feature = "spread"))]
pub use none::{Spread, measured};
