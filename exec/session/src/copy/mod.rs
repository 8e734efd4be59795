//! COPY FROM STDIN and COPY TO STDOUT.

mod format;
mod load;
mod parse;
mod split;
mod write;

use std::sync::Arc;

use spg_plan::bind::{self, CopyDirection, CopyOptions, CopySource, Query};
use spg_store::WriteMode;
use spg_types::{Datum, Error, Result};

pub(crate) use format::{CopyFormat, Header};
use write::RecordWriter;

use crate::cancel::Running;
use crate::client::{Client, blocking};
use crate::running::Started;
use crate::session::Session;

/// Output is handed to the client in pieces of about this many bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// Runs a COPY.
pub(crate) fn run(
    session: &mut Session,
    c: &bind::Copy,
    params: &Arc<[Datum]>,
    running: &Running,
    client: &mut dyn Client,
) -> Result<Started> {
    let format = format(&c.options)?;
    let rows = match c.direction {
        CopyDirection::In => load::run(session, c, format, params, running, client)?,
        CopyDirection::Out => {
            let query = match (&c.source, &c.select) {
                (CopySource::Query(q), _) | (CopySource::Table { .. }, Some(q)) => q,
                _ => return Err(Error::internal("COPY TO without a query")),
            };
            export(session, query, format, params, running, client)?
        }
    };
    Ok(Started::Complete(format!("COPY {rows}")))
}

fn format(o: &CopyOptions) -> Result<CopyFormat> {
    if o.format == bind::CopyFormat::Binary {
        return Err(
            Error::unsupported("COPY in binary format is not supported").with_hint("Use text or csv.")
        );
    }
    Ok(CopyFormat {
        csv: o.format == bind::CopyFormat::Csv,
        delimiter: o.delimiter,
        null: o.null.clone(),
        header: match (o.header, o.header_match) {
            (_, true) => Header::Match,
            (true, false) => Header::Names,
            (false, false) => Header::None,
        },
        quote: o.quote,
        escape: o.escape,
        force_quote: o.force_quote.clone(),
        force_null: o.force_null.clone(),
        force_not_null: o.force_not_null.clone(),
    })
}

fn export(
    session: &mut Session,
    query: &Query,
    format: CopyFormat,
    params: &Arc<[Datum]>,
    running: &Running,
    client: &mut dyn Client,
) -> Result<u64> {
    let columns: Vec<_> = query.columns.iter().map(|c| (c.name.clone(), c.ty)).collect();
    if query.changes_data() {
        session.lock_for_writing("COPY", WriteMode::Exclusive, running, client)?;
    }
    let snapshot = session.snapshot();
    let (planned, _) = session.compile(query.clone(), &snapshot)?;
    let settings = session.base_context().format.clone();
    let header = format.header != Header::None;
    let writer = RecordWriter::new(columns, format, settings);
    let env = session.environment(snapshot, params, running);
    let mut out = Vec::with_capacity(PIECE_BYTES * 2);
    let mut row_ends = vec![];
    client.copy_out_begin(query.columns.len(), false)?;
    if header {
        writer.header(&mut out);
        row_ends.push(out.len());
    }
    let mut rows = 0;
    if !query.changes_data() {
        let mut stream = planned.compiled.start(env)?;
        while let Some(batch) = blocking(client, || stream.next())?? {
            rows += batch.rows as u64;
            writer.rows(&batch.columns, batch.rows, &mut out, &mut row_ends)?;
            if out.len() >= PIECE_BYTES {
                client.copy_out(&out, &row_ends)?;
                out.clear();
                row_ends.clear();
            }
        }
    } else {
        let write = session.begin_if_needed().write()?;
        let modified = blocking(client, || planned.compiled.modify(env, write))??;
        for batch in &modified.returning {
            rows += batch.rows as u64;
            writer.rows(&batch.columns, batch.rows, &mut out, &mut row_ends)?;
        }
    }
    client.copy_out(&out, &row_ends)?;
    client.copy_out_end()?;
    Ok(rows)
}
