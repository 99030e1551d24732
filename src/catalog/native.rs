//! What a store is told of tables whose columns others than Sluice can read.

use crate::error::Result;
use crate::kv::{NativeColumn, SharedStore};
use crate::types::descriptor::{RelationKind, TableDescriptor};

/// Tells a store that keeps columns of the columns of a table: before the first of its rows is
/// written, and again when they have changed.
pub async fn describe(store: &SharedStore, table: &TableDescriptor) -> Result<()> {
    if !store.capabilities().native_columns || table.kind != RelationKind::Table {
        return Ok(());
    }
    let name = format!("{}.{}", table.schema, table.name);
    let columns = table.columns.iter();
    let columns: Vec<NativeColumn> =
        columns.map(|c| NativeColumn { name: c.name.clone(), id: c.id, ty: c.ty }).collect();
    store.describe(table.space(), &name, &columns).await
}
