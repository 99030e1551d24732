//! Shares of scans on their way to another gateway.
//!
//! A share names its view by what is the same everywhere (table, generation, and a checksum of its
//! files' names), and has with it what only its own gateway knows: which rows are dead at the
//! snapshot, and the rows that changed since.

use std::sync::{Arc, Weak};

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{
    PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
};
use datafusion_proto::protobuf::PhysicalExprNode;
use prost::Message;

use super::gateways::living;
use crate::clock::Timestamp;
use crate::columnar::delta::Overlay;
use crate::columnar::engine::Engine;
use crate::columnar::mask::FileMask;
use crate::columnar::query::scan::{ScanParts, ViewScan};
use crate::columnar::query::{ViewSnapshot, positional_schema};
use crate::columnar::view::View;
use crate::kv::Hold;
use crate::types::descriptor::TableId;

/// Writes and reads [`ViewScan`]s.
#[derive(Debug)]
pub struct ScanCodec {
    /// Whose views they are of.
    pub engine: Weak<Engine>,
}

#[derive(Clone, PartialEq, Message)]
struct Share {
    #[prost(uint32, tag = "1")]
    table: u32,
    #[prost(uint64, tag = "2")]
    generation: u64,
    /// Of the names of its files.
    #[prost(uint32, tag = "3")]
    checksum: u32,
    #[prost(uint64, tag = "4")]
    at: u64,
    #[prost(uint32, repeated, tag = "5")]
    columns: Vec<u32>,
    #[prost(uint32, repeated, tag = "6")]
    projection: Vec<u32>,
    #[prost(message, repeated, tag = "7")]
    filters: Vec<PhysicalExprNode>,
    #[prost(uint64, optional, tag = "8")]
    fetch: Option<u64>,
    /// A file, one of its row groups, and so on.
    #[prost(uint32, repeated, tag = "9")]
    groups: Vec<u32>,
    #[prost(uint32, tag = "10")]
    partitions: u32,
    /// The masks of files that row groups are read of, else nothing.
    #[prost(bytes = "vec", repeated, tag = "11")]
    masks: Vec<Vec<u8>>,
    /// What changed since, as an Arrow IPC stream; nothing where another share has it.
    #[prost(bytes = "vec", optional, tag = "12")]
    delta: Option<Vec<u8>>,
}

fn broken(what: &str) -> DataFusionError {
    DataFusionError::Execution(format!("a share of a scan has {what}"))
}

fn checksum(view: &View) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for file in &view.files {
        hasher.update(file.record.data_name().as_bytes());
        hasher.update(b"\n");
    }
    hasher.finalize()
}

fn small(numbers: &[usize]) -> Vec<u32> {
    numbers.iter().map(|n| *n as u32).collect()
}

fn large(numbers: &[u32]) -> Vec<usize> {
    numbers.iter().map(|n| *n as usize).collect()
}

fn delta_bytes(batches: &[RecordBatch]) -> DfResult<Vec<u8>> {
    let Some(first) = batches.first() else { return Ok(Vec::new()) };
    let mut writer = StreamWriter::try_new(Vec::new(), &first.schema())?;
    for batch in batches {
        writer.write(batch)?;
    }
    Ok(writer.into_inner()?)
}

fn delta_batches(bytes: &[u8]) -> DfResult<Vec<RecordBatch>> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    Ok(StreamReader::try_new(bytes, None)?.collect::<Result<_, _>>()?)
}

impl Share {
    fn of(
        parts: &ScanParts,
        codec: &ScanCodec,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> DfResult<Share> {
        let ViewSnapshot { view, overlay, hold, .. } = &*parts.snapshot;
        let filters = parts.filters.iter().map(|f| converter.physical_expr_to_proto(f, codec));
        let masks = overlay.masks.iter().enumerate().map(|(file, mask)| {
            let mut bytes = Vec::new();
            if parts.groups.iter().any(|(of, _)| *of == file) {
                mask.encode(&mut bytes);
            }
            bytes
        });
        let groups = parts.groups.iter().flat_map(|(file, group)| [*file as u32, *group as u32]);
        Ok(Share {
            table: view.manifest.table.id.0,
            generation: view.manifest.generation,
            checksum: checksum(view),
            at: hold.at.0,
            columns: small(&parts.columns),
            projection: small(&parts.projection),
            filters: filters.collect::<DfResult<_>>()?,
            fetch: parts.fetch.map(|rows| rows as u64),
            groups: groups.collect(),
            partitions: parts.partitions as u32,
            masks: masks.collect(),
            delta: match parts.gives_delta {
                true => Some(delta_bytes(&overlay.batches)?),
                false => None,
            },
        })
    }

    fn overlay(&self, view: &View) -> DfResult<Overlay> {
        if self.masks.len() != view.files.len() {
            return Err(broken("masks of other files"));
        }
        let masks = self.masks.iter().zip(&view.masks).map(|(bytes, own)| match bytes.is_empty() {
            true => Ok(own.clone()),
            false => {
                let mask = FileMask::decode(bytes, own.rows(), own.group_rows());
                mask.ok_or_else(|| broken("a mask that is none"))
            }
        });
        let batches = delta_batches(self.delta.as_deref().unwrap_or_default())?;
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        if batches.iter().any(|batch| batch.schema() != view.schema) {
            return Err(broken("rows of another schema"));
        }
        Ok(Overlay { masks: masks.collect::<DfResult<_>>()?, batches, rows, changed: 0 })
    }

    fn groups(&self, view: &View) -> DfResult<Vec<(usize, usize)>> {
        let pairs = self.groups.chunks(2).map(|pair| match pair {
            [file, group] => {
                let (file, group) = (*file as usize, *group as usize);
                let known = view.files.get(file).is_some_and(|file| group < file.groups());
                known.then_some((file, group)).ok_or_else(|| broken("an unknown row group"))
            }
            _ => Err(broken("half a row group")),
        });
        pairs.collect()
    }
}

impl PhysicalExtensionCodec for ScanCodec {
    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        out: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> DfResult<()> {
        let Some(scan) = node.downcast_ref::<ViewScan>() else {
            let message = format!("{} for another gateway", node.name());
            return Err(DataFusionError::NotImplemented(message));
        };
        out.extend(Share::of(scan.parts(), self, converter)?.encode_to_vec());
        Ok(())
    }

    fn try_decode(
        &self,
        bytes: &[u8],
        _: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let share = Share::decode(bytes).map_err(|e| broken(&e.to_string()))?;
        let engine = living(&self.engine)?;
        let (table, at) = (TableId(share.table), Timestamp(share.at));
        let shown = |view: &View| {
            view.manifest.generation == share.generation && checksum(view) == share.checksum
        };
        let absent = || broken("a view that this gateway does not have");
        let open = engine.open_view(table, shown).ok_or_else(absent)?;
        let view = open.view().clone();
        let overlay = share.overlay(&view)?;
        let groups = share.groups(&view)?;
        let (columns, projection) = (large(&share.columns), large(&share.projection));
        if columns.iter().any(|at| *at >= view.shape.columns.len())
            || projection.iter().any(|at| *at >= columns.len())
        {
            return Err(broken("an unknown column"));
        }
        let snapshot = Arc::new(open.snapshot(overlay, Arc::new(Hold::new(at, || {}))));
        let decoding = PhysicalPlanDecodeContext::new(context, self);
        let schema = positional_schema(columns.iter().map(|at| &view.shape.columns[*at]));
        let filters = share.filters.iter();
        let filters = filters.map(|f| converter.proto_to_physical_expr(f, &schema, &decoding));
        let parts = ScanParts {
            snapshot,
            columns: columns.into(),
            projection,
            filters: filters.collect::<DfResult<_>>()?,
            fetch: share.fetch.map(|rows| rows as usize),
            groups: groups.into(),
            partitions: share.partitions.max(1) as usize,
            gives_delta: share.delta.is_some(),
        };
        Ok(Arc::new(ViewScan::of_parts(parts)?))
    }
}
