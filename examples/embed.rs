//! Runhold inside another program: no HTTP, nothing on disk, an agent made here, its answer as it comes.
//!
//! `cargo run --example embed`
#![expect(clippy::print_stdout, reason = "an example speaks to a terminal")]

use std::io::Write;
use std::sync::Arc;

use futures::StreamExt;
use runhold::capability::egress::Egress;
use runhold::capability::registry::Registry;
use runhold::clock::WallClock;
use runhold::domain::fact::{Fact, Piece, RunOptions};
use runhold::domain::message::Input;
use runhold::domain::run::StartRun;
use runhold::domain::spec::ComponentKind;
use runhold::llm::Models;
use runhold::llm::scripted::{Scripted, ScriptedConfig};
use runhold::runtime::catalog::{Catalog, CatalogDefaults};
use runhold::runtime::{Parts, Runtime};
use runhold::store::{self, StoreConfig};

#[tokio::main]
#[expect(clippy::wildcard_enum_match_arm, reason = "only a few facts are for people")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let registry = Registry::builtin(Egress::new());
    let defaults = CatalogDefaults {
        model: "scripted/demo".parse()?,
        known_providers: vec!["scripted".into()],
        check: &|capabilities, tools| {
            registry.compose(capabilities, tools).map(drop).map_err(|error| error.to_string())
        },
    };
    let catalog = Catalog::load("agents".as_ref(), &defaults).map_err(|faults| format!("{faults:?}"))?;
    let runtime = Runtime::open(Parts {
        extensions: Vec::new(),
        vault: None,
        store: store::open(&StoreConfig::Memory {}, "data".as_ref()).await?.store,
        models: Models::default().with("scripted", Arc::new(Scripted::new(ScriptedConfig::default())?)),
        registry,
        catalog,
        clock: Arc::new(WallClock::default()),
        queue_depth: 16,
        most_at_once: 1000,
        pieces_may_be_lost: false,
        failures_are_kept: false,
    })
    .await?;

    let owner = "me".parse()?;
    let order = StartRun {
        kind: ComponentKind::Agent,
        component: "assistant".parse()?,
        session: None,
        user: None,
        input: Input { text: "What is 6 times 7?".into(), media: Vec::new(), extra: None },
        options: RunOptions::default(),
        on_second_message: None,
    };
    let run = runtime.start(&owner, order).await?;
    let mut log = runtime.tail(&owner, &run.session, run.first - 1).boxed();
    while let Some(entry) = log.next().await {
        match &entry?.fact {
            Fact::Said { pieces } => pieces.iter().for_each(print),
            Fact::ToolFinished { call, result } => println!("[{call} gave {}]", result.content),
            Fact::RunFinished { outcome, .. } => {
                println!("\n{outcome:?}");
                break;
            }
            _ => {}
        }
    }
    Ok(())
}

fn print(piece: &Piece) {
    if let Piece::Text(text) = piece {
        print!("{text}");
        // What is shown late is shown all the same.
        let _ = std::io::stdout().flush();
    }
}
