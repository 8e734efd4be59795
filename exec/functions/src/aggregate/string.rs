//! `string_agg`

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewBuilder, StringViewBuilder};
use spg_expr::{Aggregate, AggregateKernel, Column, EvalContext, GroupStates, flatten};
use spg_types::{Error, Result};

use super::{AGGREGATE, agg};

/// `string_agg`
pub(super) static STRING_AGG: Aggregate = Aggregate {
    name: "string_agg",
    doc: "All values that are not NULL one after the other, each but the first after its delimiter.",
    example: ("string_agg(x::text, ',')", "1,2,3"),
    order_sensitive: true,
    signatures: &[
        agg!([TEXT, TEXT] => TEXT, |_| bind::<Text>()),
        agg!([BYTEA, BYTEA] => BYTEA, |_| bind::<Bytes>()),
    ],
    ..AGGREGATE
};

/// Reads and writes one of the two string types as bytes.
trait Strings: Send + Sync + 'static {
    fn value(array: &ArrayRef, row: usize) -> &[u8];
    fn finish(states: &[Option<State>]) -> Result<ArrayRef>;
}

struct Text;
struct Bytes;

impl Strings for Text {
    fn value(array: &ArrayRef, row: usize) -> &[u8] {
        array.as_string_view().value(row).as_bytes()
    }
    fn finish(states: &[Option<State>]) -> Result<ArrayRef> {
        let mut out = StringViewBuilder::with_capacity(states.len());
        for s in states {
            let text = s.as_ref().map(|s| std::str::from_utf8(&s.joined[s.first_delimiter..])).transpose();
            out.append_option(text.map_err(|_| Error::internal("texts do not make a text"))?);
        }
        Ok(Arc::new(out.finish()))
    }
}

impl Strings for Bytes {
    fn value(array: &ArrayRef, row: usize) -> &[u8] {
        array.as_binary_view().value(row)
    }
    fn finish(states: &[Option<State>]) -> Result<ArrayRef> {
        let mut out = BinaryViewBuilder::with_capacity(states.len());
        for s in states {
            out.append_option(s.as_ref().map(|s| &s.joined[s.first_delimiter..]));
        }
        Ok(Arc::new(out.finish()))
    }
}

fn bind<S: Strings>() -> Result<Arc<dyn AggregateKernel>> {
    Ok(Arc::new(|| -> Box<dyn GroupStates> {
        Box::new(Joined::<S> { states: vec![], bytes: 0, kind: PhantomData })
    }))
}

/// Every value after its delimiter; the first delimiter, which the result leaves out, matters when states are merged.
#[derive(Default)]
struct State {
    joined: Vec<u8>,
    first_delimiter: usize,
}

struct Joined<S> {
    states: Vec<Option<State>>,
    bytes: usize,
    kind: PhantomData<S>,
}

impl<S: Strings> GroupStates for Joined<S> {
    fn resize(&mut self, groups: usize) {
        self.states.resize_with(groups, || None);
    }

    fn update(&mut self, _: &EvalContext, args: &[Column], groups: &[u32]) -> Result<()> {
        let arrays = [flatten(args[0].inner())?, flatten(args[1].inner())?];
        let masks = [0, 1].map(|i| if matches!(args[i], Column::Const(_)) { 0 } else { usize::MAX });
        for (row, group) in groups.iter().enumerate() {
            let (value_at, delimiter_at) = (row & masks[0], row & masks[1]);
            if arrays[0].is_null(value_at) {
                continue;
            }
            // A NULL delimiter is none.
            let delimiter =
                if arrays[1].is_null(delimiter_at) { &[][..] } else { S::value(&arrays[1], delimiter_at) };
            let value = S::value(&arrays[0], value_at);
            let state = self.states[*group as usize]
                .get_or_insert_with(|| State { joined: vec![], first_delimiter: delimiter.len() });
            state.joined.extend_from_slice(delimiter);
            state.joined.extend_from_slice(value);
            self.bytes += delimiter.len() + value.len();
        }
        Ok(())
    }

    fn merge(&mut self, other: &dyn GroupStates, from: &[u32], to: &[u32]) -> Result<()> {
        let other: &Self =
            other.as_any().downcast_ref().ok_or_else(|| Error::internal("states of another aggregate"))?;
        for (f, t) in from.iter().zip(to) {
            let Some(more) = &other.states[*f as usize] else { continue };
            let state = self.states[*t as usize]
                .get_or_insert_with(|| State { joined: vec![], first_delimiter: more.first_delimiter });
            state.joined.extend_from_slice(&more.joined);
            self.bytes += more.joined.len();
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext) -> Result<ArrayRef> {
        S::finish(&self.states)
    }

    fn bytes(&self) -> usize {
        self.bytes + self.states.capacity() * size_of::<Option<State>>()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
