//! Subqueries become joins.

use crate::plan::PlanSettings;
use crate::sql::bound::Rel;

/// Rewrites a whole tree.
pub fn relation(_rel: &mut Rel, _settings: &PlanSettings<'_>) {}
