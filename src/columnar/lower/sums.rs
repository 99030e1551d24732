//! `sum` and `avg` of integers and numerics, exact.
//!
//! A group's state is a 128-bit sum at the input's scale and a count; leaving 128 bits is
//! [`TOO_WIDE`](super::udf::TOO_WIDE), never a wrapped result. `avg` divides at the end by
//! numeric's own rules, so its scale is PostgreSQL's.
//!
//! Where the inputs come from a CASE whose arms differ in scale, a second argument says each
//! value's own scale, and the result has the largest of those that were added.

use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, BinaryBuilder, BooleanArray, Decimal128Array, Int32Array,
    Int64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Int32Type, Int64Type};
use bytes::BytesMut;
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};

use super::udf::{external, too_wide};
use crate::types::Numeric;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SumKind {
    Sum,
    Avg,
}

/// The aggregate function, over decimals of one scale (integers: scale 0).
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ExactSum {
    kind: SumKind,
    scale: i8,
    /// Whether a second argument gives each value's own scale.
    mixed: bool,
    signature: Signature,
    /// Says all of it.
    name: String,
}

impl ExactSum {
    /// `kind` over an input of this scale.
    pub fn new(kind: SumKind, scale: i8, mixed: bool) -> ExactSum {
        let verb = match kind {
            SumKind::Sum => "sum",
            SumKind::Avg => "avg",
        };
        let of = if mixed { "mixed" } else { "numeric" };
        let signature = Signature::any(1 + usize::from(mixed), Volatility::Immutable);
        ExactSum { kind, scale, mixed, signature, name: format!("exact_{verb}_{of}_{scale}") }
    }

    /// The Arrow type of the result.
    pub fn result_type(&self) -> DataType {
        match self.kind {
            SumKind::Sum if !self.mixed => state_type(self.scale),
            _ => DataType::Binary,
        }
    }

    fn state(&self) -> SumGroups {
        SumGroups {
            kind: self.kind,
            scale: self.scale,
            sums: Vec::new(),
            counts: Vec::new(),
            scales: self.mixed.then(Vec::new),
        }
    }
}

fn state_type(scale: i8) -> DataType {
    DataType::Decimal128(crate::columnar::values::DECIMAL_PRECISION_MAX, scale)
}

impl AggregateUDFImpl for ExactSum {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> DfResult<DataType> {
        Ok(self.result_type())
    }

    fn state_fields(&self, args: StateFieldsArgs) -> DfResult<Vec<FieldRef>> {
        let mut fields: Vec<FieldRef> = vec![
            Arc::new(Field::new(format!("{}[sum]", args.name), state_type(self.scale), true)),
            Arc::new(Field::new(format!("{}[count]", args.name), DataType::Int64, true)),
        ];
        if self.mixed {
            fields.push(Arc::new(Field::new(
                format!("{}[scale]", args.name),
                DataType::Int32,
                true,
            )));
        }
        Ok(fields)
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> DfResult<Box<dyn Accumulator>> {
        let mut groups = self.state();
        groups.resize(1);
        Ok(Box::new(SumOne(groups)))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(
        &self,
        _args: AccumulatorArgs,
    ) -> DfResult<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.state()))
    }
}

/// Sums and counts by group.
struct SumGroups {
    kind: SumKind,
    scale: i8,
    sums: Vec<i128>,
    counts: Vec<i64>,
    /// The largest scale added to each group, where values have their own.
    scales: Option<Vec<i32>>,
}

/// What is taken out of some groups.
struct Taken {
    sums: Vec<i128>,
    counts: Vec<i64>,
    scales: Option<Vec<i32>>,
}

impl SumGroups {
    fn resize(&mut self, groups: usize) {
        self.sums.resize(groups, 0);
        self.counts.resize(groups, 0);
        if let Some(scales) = &mut self.scales {
            scales.resize(groups, 0);
        }
    }

    /// Takes note of a value's own scale, from the second argument.
    fn widen(&mut self, group: usize, own: Option<&Int32Array>, row: usize) {
        if let (Some(scales), Some(own)) = (&mut self.scales, own) {
            scales[group] = scales[group].max(own.value(row));
        }
    }

    fn input(&self, values: &ArrayRef) -> DfResult<ArrayRef> {
        match values.data_type() {
            DataType::Decimal128(_, s) if *s == self.scale => Ok(Arc::clone(values)),
            _ => Ok(cast(values, &state_type(self.scale))?),
        }
    }

    #[inline]
    fn add(&mut self, group: usize, value: i128, count: i64) -> DfResult<()> {
        self.sums[group] = self.sums[group].checked_add(value).ok_or_else(too_wide)?;
        self.counts[group] += count;
        Ok(())
    }

    /// Adds a value to each of `groups`; looks once for a sum that left 128 bits.
    fn add_all(&mut self, groups: &[usize], values: &[i128]) -> DfResult<()> {
        let (sums, counts) = (&mut self.sums[..], &mut self.counts[..]);
        let mut left = false;
        for (group, value) in groups.iter().zip(values) {
            let (sum, over) = sums[*group].overflowing_add(*value);
            sums[*group] = sum;
            counts[*group] += 1;
            left |= over;
        }
        if left { Err(too_wide()) } else { Ok(()) }
    }

    fn take(&mut self, emit: EmitTo) -> Taken {
        Taken {
            sums: emit.take_needed(&mut self.sums),
            counts: emit.take_needed(&mut self.counts),
            scales: self.scales.as_mut().map(|scales| emit.take_needed(scales)),
        }
    }

    fn all(&self) -> Taken {
        Taken { sums: self.sums.clone(), counts: self.counts.clone(), scales: self.scales.clone() }
    }

    fn state_arrays(&self, taken: Taken) -> Vec<ArrayRef> {
        let sums = Decimal128Array::from(taken.sums).with_data_type(state_type(self.scale));
        let mut arrays: Vec<ArrayRef> =
            vec![Arc::new(sums), Arc::new(Int64Array::from(taken.counts))];
        if let Some(scales) = taken.scales {
            arrays.push(Arc::new(Int32Array::from(scales)));
        }
        arrays
    }

    fn results(&self, taken: Taken) -> DfResult<ArrayRef> {
        let Taken { sums, counts, scales } = taken;
        if self.kind == SumKind::Sum && scales.is_none() {
            let values = sums.into_iter().zip(counts).map(|(s, n)| (n > 0).then_some(s));
            let array: Decimal128Array = values.collect();
            return Ok(Arc::new(array.with_data_type(state_type(self.scale))));
        }
        let mut builder = BinaryBuilder::with_capacity(sums.len(), sums.len() * 16);
        let mut bytes = BytesMut::new();
        for (at, (sum, count)) in sums.into_iter().zip(counts).enumerate() {
            if count == 0 {
                builder.append_null();
                continue;
            }
            let mut value = Numeric::from_i128(sum, self.scale.max(0) as u32);
            if let Some(scales) = &scales {
                value = value.round(scales[at]).map_err(external)?;
            }
            if self.kind == SumKind::Avg {
                let count = Numeric::from_i128(i128::from(count), 0);
                value = value.div(&count).map_err(external)?;
            }
            bytes.clear();
            value.to_binary(&mut bytes);
            builder.append_value(&bytes);
        }
        Ok(Arc::new(builder.finish()))
    }
}

impl GroupsAccumulator for SumGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> DfResult<()> {
        self.resize(total_num_groups);
        let input = self.input(&values[0])?;
        let array = input.as_primitive::<Decimal128Type>();
        let own = own_scales(values);
        if array.null_count() == 0 && opt_filter.is_none() && own.is_none() {
            return self.add_all(group_indices, array.values());
        }
        for (row, group) in group_indices.iter().enumerate() {
            let wanted = opt_filter.is_none_or(|f| f.is_valid(row) && f.value(row));
            if wanted && array.is_valid(row) {
                self.add(*group, array.value(row), 1)?;
                self.widen(*group, own, row);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> DfResult<ArrayRef> {
        let taken = self.take(emit_to);
        self.results(taken)
    }

    fn state(&mut self, emit_to: EmitTo) -> DfResult<Vec<ArrayRef>> {
        let taken = self.take(emit_to);
        Ok(self.state_arrays(taken))
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> DfResult<()> {
        self.resize(total_num_groups);
        let sums = values[0].as_primitive::<Decimal128Type>();
        let counts = values[1].as_primitive::<Int64Type>();
        let own = values.get(2).map(|scales| scales.as_primitive::<Int32Type>());
        for (row, group) in group_indices.iter().enumerate() {
            if sums.is_valid(row) {
                self.add(*group, sums.value(row), counts.value(row))?;
                self.widen(*group, own, row);
            }
        }
        Ok(())
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> DfResult<Vec<ArrayRef>> {
        let input = self.input(&values[0])?;
        let array = input.as_primitive::<Decimal128Type>();
        let wanted = |row: usize| {
            array.is_valid(row) && opt_filter.is_none_or(|f| f.is_valid(row) && f.value(row))
        };
        let rows = 0..array.len();
        let sums = rows.clone().map(|r| if wanted(r) { array.value(r) } else { 0 }).collect();
        let counts = rows.clone().map(|r| i64::from(wanted(r))).collect();
        let scales = own_scales(values)
            .map(|own| rows.map(|r| if wanted(r) { own.value(r) } else { 0 }).collect());
        Ok(self.state_arrays(Taken { sums, counts, scales }))
    }

    fn size(&self) -> usize {
        let scales = self.scales.as_ref().map_or(0, Vec::capacity);
        self.sums.capacity() * size_of::<i128>()
            + self.counts.capacity() * size_of::<i64>()
            + scales * size_of::<i32>()
    }
}

/// The second argument: each value's own scale.
fn own_scales(values: &[ArrayRef]) -> Option<&Int32Array> {
    values.get(1).map(|scales| scales.as_primitive::<Int32Type>())
}

/// The ungrouped form: one group.
struct SumOne(SumGroups);

impl std::fmt::Debug for SumOne {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} at scale {}", self.0.kind, self.0.scale)
    }
}

impl Accumulator for SumOne {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        let input = self.0.input(&values[0])?;
        let own = own_scales(values);
        for (row, value) in input.as_primitive::<Decimal128Type>().iter().enumerate() {
            if let Some(value) = value {
                self.0.add(0, value, 1)?;
                self.0.widen(0, own, row);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        let array = self.0.results(self.0.all())?;
        ScalarValue::try_from_array(&array, 0)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + GroupsAccumulator::size(&self.0)
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        let arrays = self.0.state_arrays(self.0.all());
        arrays.iter().map(|a| ScalarValue::try_from_array(a, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        let groups = vec![0; states[0].len()];
        GroupsAccumulator::merge_batch(&mut self.0, states, &groups, 1)
    }
}
