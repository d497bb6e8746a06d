//! Files that were altered: nothing altered is ever shown, and what is missing is named.

use std::collections::BTreeMap;
use std::time::Duration;

use runhold::store::dump;

use super::dump::fill;
use super::*;

tests_on! { sled redb, [
    bytes_that_were_flipped_are_never_shown_and_what_is_missing_is_named,
] }

/// What a store shows.
#[derive(Debug, Default, PartialEq)]
struct Shown {
    records: BTreeMap<String, Record>,
    entries: BTreeMap<(String, Seq), Entry>,
    heads: BTreeMap<String, Seq>,
    lists: BTreeMap<String, Vec<String>>,
}

impl Shown {
    /// Names of what another does not show, or shows otherwise.
    fn missing_in(&self, other: &Self) -> Vec<String> {
        let records = self.records.iter().filter(|(id, record)| other.records.get(*id) != Some(record));
        let entries = self.entries.iter().filter(|(place, entry)| other.entries.get(*place) != Some(entry));
        let heads = self.heads.iter().filter(|(log, head)| other.heads.get(*log) != Some(head));
        let lists = self.lists.iter().filter(|(list, ids)| other.lists.get(*list) != Some(ids));
        let records = records.map(|(id, _)| id.clone());
        let entries = entries.map(|((log, seq), _)| format!("{log}#{seq}"));
        let rest = heads.map(|(log, _)| log).chain(lists.map(|(list, _)| list));
        records.chain(entries).chain(rest.cloned()).collect()
    }
}

/// All that can be read; what cannot is not in it.
async fn look(store: &dyn Store) -> Shown {
    let mut shown = Shown::default();
    let ids = (0..8).map(|number| format!("r{number}")).chain(["binary", "unlisted", "gone"].map(Into::into));
    for id in ids {
        if let Ok(Some(record)) = store.get(&key(&id)).await {
            shown.records.insert(id, record);
        }
    }
    for session in ["a", "b", "c ü/☃", "forgotten"] {
        let log = log(session);
        if let Ok(head) = store.head(&log).await {
            shown.heads.insert(session.into(), head);
        }
        for after in 0..10 {
            for entry in store.read(&log, after, 1).await.into_iter().flatten() {
                shown.entries.insert((session.into(), entry.seq), entry);
            }
        }
    }
    for query in [every(100), tagged("user", "u"), tagged("even", "no")] {
        let name = format!("{:?}", query.tag);
        if let Ok(page) = store.list(&query).await {
            shown.lists.insert(name, page.records.into_iter().map(|record| record.key.id).collect());
        }
    }
    shown
}

/// Small steps of a generator that is the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % most
    }
}

/// Flips bits of some bytes that are not zero, somewhere in the stored files.
fn damage(folder: &Folder, dice: &mut Dice) -> String {
    let files: Vec<_> = written(folder.dir.path())
        .into_iter()
        .filter(|(path, (length, _))| *length > 0 && !path.ends_with("lock") && !path.ends_with("boot"))
        .map(|(path, _)| path)
        .collect();
    let path = &files[dice.below(files.len())];
    let mut bytes = std::fs::read(path).unwrap();
    let used: Vec<_> = bytes.iter().enumerate().filter(|(_, byte)| **byte != 0).map(|(at, _)| at).collect();
    if used.is_empty() {
        return String::new();
    }
    let mut told = path.strip_prefix(folder.dir.path()).unwrap().display().to_string();
    for _ in 0..=dice.below(3) {
        let at = used[dice.below(used.len())];
        let bit = 1 << dice.below(8);
        bytes[at] ^= bit;
        told += &format!(" {at}^{bit}");
    }
    std::fs::write(path, bytes).unwrap();
    told
}

async fn bytes_that_were_flipped_are_never_shown_and_what_is_missing_is_named(folder: Folder) {
    let rounds: u64 = std::env::var("RUNHOLD_DAMAGE_ROUNDS").map_or(25, |rounds| rounds.parse().unwrap());
    let store = folder.open().await;
    fill(&*store).await;
    let killed = folder.as_if_killed();
    drop(store);
    let whole = look(&*folder.as_if_killed().open().await).await;
    assert_eq!(whole.records.len() + whole.entries.len(), 10 + 17);
    let (mut refused, mut partly) = (0, 0);
    for round in 0..rounds {
        let mut dice = Dice(round);
        let copy = if round % 2 == 0 { folder.as_if_killed() } else { killed.as_if_killed() };
        let told = format!("round {round}: {}", damage(&copy, &mut dice));
        let mut named = Vec::new();
        let verified = dump::verify(&copy.config, copy.dir.path(), &mut |what| named.push(what.to_owned()));
        let is_named = verified.is_err() || !named.is_empty();
        let opened = store::open(&copy.config, copy.dir.path()).await;
        let Ok(opened) = opened else {
            assert!(is_named, "{told}: {:?} is not named", opened.err());
            refused += 1;
            continue;
        };
        let looking = tokio::time::timeout(Duration::from_secs(60), look(&*opened.store));
        let shown = looking.await.expect("an answer");
        if shown != whole {
            let missing = whole.missing_in(&shown);
            assert!(is_named, "{told}: {missing:?} are missing, and nobody says so");
            partly += 1;
        }
        for (id, record) in &shown.records {
            assert_eq!(Some(record), whole.records.get(id), "{told}: {named:?}");
        }
        for (place, entry) in &shown.entries {
            assert_eq!(Some(entry), whole.entries.get(place), "{told}: {named:?}");
        }
    }
    assert!(refused + partly > 0, "damage that nobody notices is none");
}
