//! `sluice sstable`: Cassandra's files, looked at and read without Cassandra.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::clock::{Clock as _, SystemClock};
use crate::columnar::sstable::dump::{self, Format};
use crate::columnar::sstable::table::Table;
use crate::error::Result;

/// Microseconds in a second.
const MICROS: i64 = 1_000_000;

/// `sluice sstable …`
#[derive(Clone, Debug, Subcommand)]
pub enum SstableCommand {
    /// Say what SSTables are: version, compression, partitions, rows, times of writing, size.
    Ls {
        /// Files of SSTables, or folders that hold some.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Write the rows of a table, of all given SSTables merged, as SELECT * gives them.
    Dump(DumpArgs),
}

/// `sluice sstable dump`
#[derive(Clone, Debug, Args)]
pub struct DumpArgs {
    /// Files of SSTables of one table, or folders that hold some.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// What rows are written as.
    #[arg(long, value_enum, default_value = "csv")]
    format: DumpFormat,
    /// File to write to, instead of the standard output.
    #[arg(long)]
    output: Option<PathBuf>,
    /// Names of the primary key's columns, partition key before clustering columns, where neither a
    /// schema.cql beside the files nor the node's system_schema says them.
    #[arg(long, value_delimiter = ',')]
    keys: Option<Vec<String>>,
    /// The time that decides what has expired, in seconds since 1970, instead of the present.
    #[arg(long, value_name = "SECONDS")]
    now: Option<i64>,
}

/// Formats of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DumpFormat {
    /// A header and a line for each row; null is empty.
    Csv,
    /// An object on a line for each row, as SELECT JSON gives it.
    Json,
    /// Apache Parquet, compressed with zstd.
    Parquet,
    /// Their number alone, after all of them were read.
    Count,
}

/// Does what was asked for.
pub(super) fn run(command: SstableCommand) -> Result<()> {
    match command {
        SstableCommand::Ls { paths } => list(&paths),
        SstableCommand::Dump(args) => {
            let now = args.now.unwrap_or_else(|| SystemClock::new().wall_micros() / MICROS);
            let mut table = Table::open(&args.paths, now)?;
            if let Some(names) = &args.keys {
                table.name_key(names)?;
            }
            let format = match args.format {
                DumpFormat::Csv => Format::Csv,
                DumpFormat::Json => Format::Json,
                DumpFormat::Parquet => Format::Parquet,
                DumpFormat::Count => Format::Count,
            };
            dump::dump(&table, now, format, args.output.as_deref()).map(|_| ())
        }
    }
}

#[expect(clippy::print_stdout, reason = "the command's result")]
fn list(paths: &[PathBuf]) -> Result<()> {
    let mut lines = vec![
        ["file", "table", "version", "compression", "partitions", "rows", "from", "to", "bytes"]
            .map(str::to_owned),
    ];
    for found in dump::list(paths)? {
        let summary = &found.summary;
        lines.push([
            found.data.display().to_string(),
            found.table.unwrap_or_else(|| "-".to_owned()),
            format!("{} {}", found.version, found.format),
            found.compressor.unwrap_or_else(|| "none".to_owned()),
            summary.partitions.to_string(),
            summary.rows.to_string(),
            dump::time_of_writing(summary.min_timestamp),
            dump::time_of_writing(summary.max_timestamp),
            found.bytes.to_string(),
        ]);
    }
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|n| lines.iter().map(|line| line[n].len()).max().unwrap_or(0))
        .collect();
    for line in &lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    Ok(())
}
