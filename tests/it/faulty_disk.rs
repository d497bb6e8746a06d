//! The disk of the other tests: it forgets exactly what it may forget.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use crate::dice::Dice;
use crate::disk::Disk;

fn names(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn sync_folder(folder: &Path) {
    File::open(folder).unwrap().sync_all().unwrap();
}

/// What is left of a file of three pages of `b` over three synced pages of `a`, for each of these seeds.
fn cuts(overwrite: impl Fn(&Path)) -> Vec<Vec<u8>> {
    let cut = |seed| {
        let disk = Disk::mount();
        let file = disk.path().join("file");
        fs::write(&file, [b'a'; 3 * 4096]).unwrap();
        File::open(&file).unwrap().sync_all().unwrap();
        sync_folder(disk.path());
        overwrite(&file);
        disk.cut_power(&mut Dice::new(seed));
        fs::read(&file).unwrap()
    };
    (0..12).map(cut).collect()
}

fn write_over(file: &Path) {
    File::options().write(true).open(file).unwrap().write_all_at(&[b'b'; 3 * 4096], 0).unwrap();
}

#[test]
fn what_was_synced_is_there_after_a_power_cut() {
    let found = cuts(|file| {
        write_over(file);
        File::open(file).unwrap().sync_data().unwrap();
    });
    assert!(found.iter().all(|bytes| *bytes == [b'b'; 3 * 4096]));
}

#[test]
fn of_what_was_not_synced_any_pages_may_be_there_after_a_power_cut() {
    let found = cuts(write_over);
    for bytes in &found {
        assert_eq!(bytes.len(), 3 * 4096);
        assert!(bytes.chunks(4096).all(|page| page == [b'a'; 4096] || page == [b'b'; 4096]));
    }
    assert!(found.iter().any(|bytes| *bytes == [b'a'; 3 * 4096]), "all of it is lost in some cuts");
    assert!(found.iter().any(|bytes| bytes.contains(&b'a') && bytes.contains(&b'b')), "a part in others");
}

#[test]
fn a_name_is_lost_unless_its_folder_was_synced() {
    let disk = Disk::mount();
    let written = |name: &str| {
        let mut file = File::create(disk.path().join(name)).unwrap();
        file.write_all(b"text").unwrap();
        file.sync_all().unwrap();
    };
    written("kept");
    sync_folder(disk.path());
    written("lost");
    // A seed of a cut that loses everything.
    disk.cut_power(&mut Dice::new(losing()));
    assert_eq!(names(disk.path()), ["kept"]);
    assert_eq!(fs::read(disk.path().join("kept")).unwrap(), b"text");
}

#[test]
fn a_rename_may_be_undone_unless_its_folder_was_synced() {
    let disk = Disk::mount();
    File::create(disk.path().join("old")).unwrap();
    sync_folder(disk.path());
    fs::rename(disk.path().join("old"), disk.path().join("new")).unwrap();
    assert_eq!(names(disk.path()), ["new"]);
    disk.cut_power(&mut Dice::new(losing()));
    assert_eq!(names(disk.path()), ["old"]);
    fs::rename(disk.path().join("old"), disk.path().join("new")).unwrap();
    sync_folder(disk.path());
    disk.cut_power(&mut Dice::new(losing()));
    assert_eq!(names(disk.path()), ["new"]);
}

fn losing() -> u64 {
    (0..).find(|seed| !Dice::new(*seed).chance(50)).unwrap()
}

#[test]
fn what_a_failed_sync_should_have_synced_can_be_read_and_is_lost_with_the_power() {
    let disk = Disk::mount();
    let path = disk.path().join("file");
    let mut file = File::create(&path).unwrap();
    sync_folder(disk.path());
    file.write_all(b"text").unwrap();
    disk.fail_syncs(1);
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"text");
    disk.cut_power(&mut Dice::new(losing()));
    assert_eq!(fs::read(&path).unwrap(), [0; 4]);
}

#[test]
fn a_full_disk_takes_no_more_until_there_is_room() {
    let disk = Disk::mount();
    let path = disk.path().join("file");
    disk.set_room(Some(8 * 4096));
    let full = fs::write(&path, vec![1; 9 * 4096]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    disk.set_room(None);
    fs::write(&path, vec![1; 9 * 4096]).unwrap();
    assert_eq!(disk.used(), 9 * 4096);
}

#[test]
fn whoever_asks_for_the_kth_change_is_killed_and_it_does_not_happen() {
    let disk = Disk::mount();
    disk.kill_at(4);
    let script = "echo a > a; echo b > b; echo c > c";
    let status = Command::new("sh").args(["-c", script]).current_dir(disk.path()).status().unwrap();
    assert!(!status.success());
    assert!(disk.spare());
    assert_eq!((names(disk.path()), disk.operations()), (vec!["a".to_owned(), "b".to_owned()], 4));
}
