//! What is written is read back: every type, NULLs, dictionaries, pages, row ids, statistics.

mod common;

use std::path::Path;

use arrow::array::{Array, AsArray};
use arrow::datatypes::UInt16Type;
use common::{every_type, rows, same, write};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use spg_segment::{BLOCK_ROWS, ChunkCache, WriteOptions};
use spg_types::Datum;
use spg_vfs::MemoryVfs;

#[test]
fn every_type_reads_back_exactly() {
    for seed in 0..12 {
        let mut rng = StdRng::seed_from_u64(seed);
        let columns = every_type();
        assert!(columns.len() > 20);
        let lens = [1, 2, 50, 1000, 5000].map(|n| n + usize::from(n > 2) * rng.random_range(0..7));
        let groups: Vec<_> =
            lens[..rng.random_range(1..=5)].iter().map(|n| rows(&columns, *n, &mut rng)).collect();
        let options =
            WriteOptions { page_rows: [64, 700, 8192][rng.random_range(0..3)], ..WriteOptions::default() };
        let vfs = MemoryVfs::default();
        let segment = write(&vfs, Path::new("a"), &columns, &groups, options);
        assert_eq!(segment.columns(), columns);
        segment.verify().unwrap();
        let cache = ChunkCache::new(1 << 30);
        for (g, group) in groups.iter().enumerate() {
            let len = group[0].len();
            assert_eq!(segment.groups()[g].rows, len);
            assert_eq!(segment.groups()[g].runs.len(), if len > 1 { 2 } else { 1 });
            for (c, array) in group.iter().enumerate() {
                let context = format!("seed {seed} group {g} column {c} {}", columns[c].ty);
                let found = segment.read_column(g, c).unwrap();
                assert!(same(&found, array), "{context}\n{found:?}\n{array:?}");
                assert_eq!(found.data_type(), array.data_type(), "{context}");
                // Now that it is verified, by its pages.
                assert!(same(&segment.read_column(g, c).unwrap(), array), "{context}");
                assert!(same(&segment.block(&cache, g, c, 0).unwrap(), array), "{context}");
                let stats = &segment.groups()[g].chunks[c].stats;
                assert_eq!(stats.zone.max, Some(Datum::Int64(7)));
                assert_eq!(&*stats.sketch, [1, 2, 3]);

                let pages = segment.groups()[g].chunks[c].pages.len();
                assert_eq!(pages, len.div_ceil(options.page_rows), "{context}");
                let start = rng.random_range(0..len);
                let end = rng.random_range(start + 1..=len);
                let part = segment.read_pages(g, c, segment.pages_of(g, c, start..end)).unwrap();
                assert!(part.first <= start && part.first + part.array.len() >= end, "{context}");
                assert!(part.array.len() < end - start + 2 * options.page_rows, "{context}");
                let (a, b) =
                    (part.array.slice(start - part.first, end - start), array.slice(start, end - start));
                assert!(same(&a, &b), "{context}: rows {start}..{end}");
            }
        }
    }
}

#[test]
fn a_point_read_decodes_one_page() {
    let mut rng = StdRng::seed_from_u64(5);
    let columns = every_type();
    let group = rows(&columns, 3000, &mut rng);
    let options = WriteOptions { page_rows: 256, ..WriteOptions::default() };
    let segment =
        write(&MemoryVfs::default(), Path::new("a"), &columns, std::slice::from_ref(&group), options);
    let cache = ChunkCache::new(64 << 20);
    for offset in [0, 255, 256, 1000, 2999] {
        for (c, array) in group.iter().enumerate() {
            let part = segment.row(&cache, 0, c, offset).unwrap();
            assert!(part.array.len() <= 256);
            assert!(same(&part.array.slice(offset - part.first, 1), &array.slice(offset, 1)));
        }
    }
    assert!(cache.bytes() > 0);
    // What is there with its block is not read again.
    segment.block(&cache, 0, 0, 0).unwrap();
    assert_eq!(segment.row(&cache, 0, 0, 700).unwrap().array.len(), 3000);
}

#[test]
fn blocks_are_read_whatever_the_pages() {
    let columns = every_type();
    let group = rows(&columns, 2 * BLOCK_ROWS + 700, &mut StdRng::seed_from_u64(7));
    let options = WriteOptions { page_rows: 3000, ..WriteOptions::default() };
    let segment =
        write(&MemoryVfs::default(), Path::new("a"), &columns, std::slice::from_ref(&group), options);
    for cache in [ChunkCache::new(1 << 30), ChunkCache::new(0)] {
        for (c, array) in group.iter().enumerate() {
            for block in [2, 0, 1, 2] {
                let rows = segment.block_rows(0, block);
                assert_eq!(rows.len(), if block == 2 { 700 } else { BLOCK_ROWS });
                let found = segment.block(&cache, 0, c, block).unwrap();
                assert!(same(&found, &array.slice(rows.start, rows.len())), "column {c}, block {block}");
                assert_eq!(segment.cached_block(&cache, 0, c, block).is_some(), cache.capacity() > 0);
            }
            let part = segment.row(&cache, 0, c, BLOCK_ROWS + 5).unwrap();
            assert!(same(&part.array.slice(BLOCK_ROWS + 5 - part.first, 1), &array.slice(BLOCK_ROWS + 5, 1)));
        }
    }
}

#[test]
fn strings_with_few_values_stay_dictionaries() {
    let mut rng = StdRng::seed_from_u64(6);
    let columns = every_type();
    let group = rows(&columns, 1000, &mut rng);
    let options = WriteOptions::default();
    let segment =
        write(&MemoryVfs::default(), Path::new("a"), &columns, std::slice::from_ref(&group), options);
    let found = segment.read_column(0, columns.len() - 1).unwrap();
    let dictionary = found.as_dictionary::<UInt16Type>();
    assert_eq!(dictionary.values().len(), 9);
    assert!(dictionary.values().as_string_view_opt().is_some());
}

#[test]
fn pages_of_integers_have_bounds() {
    let columns = vec![spg_segment::SegmentColumn {
        name: "a".into(),
        ty: spg_types::SqlType::new(&spg_types::def::INT4),
        required: true,
        key: true,
    }];
    let values: arrow::array::ArrayRef =
        std::sync::Arc::new(arrow::array::Int32Array::from_iter_values((0..1000).map(|i| 5000 - i)));
    let options = WriteOptions { page_rows: 100, ..WriteOptions::default() };
    let segment = write(&MemoryVfs::default(), Path::new("a"), &columns, &[vec![values]], options);
    let pages = &segment.groups()[0].chunks[0].pages;
    let bounds: Vec<_> = pages.iter().map(|p| p.bounds.unwrap()).collect();
    assert_eq!(bounds[0], (4901, 5000));
    assert_eq!(bounds[9], (4001, 4100));
    assert_eq!(segment.bounds(0, 0, 150..300), Some((4701, 4900)));
    assert!(segment.groups()[0].chunks[0].bloom.is_some());
}
