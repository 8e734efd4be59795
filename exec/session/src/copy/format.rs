//! The options of COPY that say how rows look as text.

/// What the first line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// A row.
    None,
    /// Column names; skipped on input.
    Names,
    /// Column names, checked on input.
    Match,
}

/// How rows look: PostgreSQL's `text` or `csv` format with its options.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CopyFormat {
    /// csv rather than text.
    pub csv: bool,
    /// Between fields.
    pub delimiter: u8,
    /// What stands for NULL.
    pub null: String,
    /// The first line.
    pub header: Header,
    /// csv: around fields.
    pub quote: u8,
    /// csv: before a quote (or itself) within a field.
    pub escape: u8,
    /// csv output: columns always quoted, by position among the columns copied.
    pub force_quote: Vec<bool>,
    /// csv input: columns whose quoted NULL string is NULL too.
    pub force_null: Vec<bool>,
    /// csv input: columns that are never NULL.
    pub force_not_null: Vec<bool>,
}

impl CopyFormat {
    /// The defaults of the text format.
    #[cfg(test)]
    pub(crate) fn text(columns: usize) -> Self {
        Self {
            csv: false,
            delimiter: b'\t',
            null: "\\N".into(),
            header: Header::None,
            quote: b'"',
            escape: b'"',
            force_quote: vec![false; columns],
            force_null: vec![false; columns],
            force_not_null: vec![false; columns],
        }
    }

    /// The defaults of the csv format.
    #[cfg(test)]
    pub(crate) fn csv(columns: usize) -> Self {
        Self { csv: true, delimiter: b',', null: String::new(), ..Self::text(columns) }
    }
}
