//! The configuration: defaults, file and variables, and what is said about wrong ones.

use std::path::{Path, PathBuf};
use std::time::Duration;

use runhold::cli::schema::{What, schema};
use runhold::config::{Config, DEFAULTS, LogFormat, ProviderConfig, ProviderKind, known_keys};
use runhold::store::StoreConfig;

fn pairs(env: &[(&str, &str)]) -> Vec<(String, String)> {
    env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn from_env(env: &[(&str, &str)]) -> Result<Config, String> {
    Config::load(None, pairs(env)).map_err(|faults| said(&faults))
}

fn said(faults: &[impl ToString]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn from_file_and_env(text: &str, env: &[(&str, &str)]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("my.toml");
    std::fs::write(&file, text).unwrap();
    let folder = format!("{}/", folder.path().display());
    Config::load(Some(&file), pairs(env)).map_err(|faults| said(&faults).replace(&folder, ""))
}

fn from_file(text: &str) -> Result<Config, String> {
    from_file_and_env(text, &[])
}

#[test]
fn without_file_and_variables_the_defaults_hold() {
    let config = from_env(&[("PATH", "/bin")]).unwrap();
    assert_eq!((config.host.as_str(), config.port), ("127.0.0.1", 7777));
    assert_eq!((config.data, config.agents), (PathBuf::from("data"), PathBuf::from("agents")));
    assert_eq!((config.log.as_str(), config.log_format), ("info", LogFormat::Text));
    assert_eq!((config.os_id.as_str(), config.name.as_str()), ("runhold", "Runhold"));
    assert_eq!(config.token, None);
    assert_eq!(config.default_model.to_string(), "scripted/demo");
    assert_eq!(config.server.cors_origins, Vec::<String>::new());
    assert_eq!((config.server.json_bytes, config.server.multipart_bytes), (2_097_152, 33_554_432));
    assert_eq!((config.server.workers, config.runs.queue_depth, config.runs.drain_seconds), (2, 16, 20));
    assert_eq!(config.store, StoreConfig::Sled { cache_mib: 64 });
    let scripted =
        ProviderConfig { kind: ProviderKind::Scripted, delay_ms: Some(15), ..ProviderConfig::default() };
    assert_eq!(config.providers.into_iter().collect::<Vec<_>>(), [("scripted".into(), scripted)]);
}

#[test]
fn every_key_is_in_the_file_of_defaults() {
    let missing = |key: &String| {
        let last = key.rsplit('.').next().unwrap_or_default().to_owned();
        !DEFAULTS.lines().any(|line| {
            let line = line.trim_start_matches("# ");
            line.starts_with(&format!("{last} = ")) || line == format!("[{key}]")
        })
    };
    assert_eq!(known_keys().into_iter().filter(missing).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn every_key_of_the_file_of_defaults_has_a_sentence_above_it() {
    let lines: Vec<&str> = DEFAULTS.lines().collect();
    let is_key = |line: &&str| {
        let line = line.trim_start_matches("# ");
        line.split_once(" = ").is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
    };
    let alone =
        lines.windows(2).filter(|pair| is_key(&pair[1]) && !pair[0].starts_with("# ")).map(|pair| pair[1]);
    assert_eq!(alone.collect::<Vec<_>>(), [r#"kind = "scripted""#]);
}

#[test]
fn a_file_lies_over_the_defaults_and_variables_over_the_file() {
    let file = "port = 1\nname = \"Mine\"\n[server]\nworkers = 3\njson_bytes = 10\n";
    let env = [("RUNHOLD_PORT", "2"), ("RUNHOLD_SERVER__WORKERS", "4"), ("RUNHOLD_LOG_FORMAT", "json")];
    let config = from_file_and_env(file, &env).unwrap();
    assert_eq!((config.host.as_str(), config.port, config.name.as_str()), ("127.0.0.1", 2, "Mine"));
    assert_eq!((config.server.workers, config.server.json_bytes), (4, 10));
    assert_eq!(config.log_format, LogFormat::Json);
}

#[test]
fn variables_hold_text_numbers_and_lists() {
    let env = [
        ("RUNHOLD_TOKEN", "12345"),
        ("RUNHOLD_DATA", "/var/lib/runhold"),
        ("RUNHOLD_DEFAULT_MODEL", "local/m"),
        ("RUNHOLD_SERVER__CORS_ORIGINS", "https://a.example, https://b.example"),
        ("RUNHOLD_PROVIDERS__LOCAL__BASE_URL", "http://127.0.0.1:11434/v1"),
        ("RUNHOLD_PROVIDERS__LOCAL__FIRST_BYTE", "5m"),
    ];
    let config = from_env(&env).unwrap();
    assert_eq!(config.token.map(|token| token.expose().to_owned()).as_deref(), Some("12345"));
    assert_eq!(config.data, PathBuf::from("/var/lib/runhold"));
    assert_eq!(config.server.cors_origins, ["https://a.example", "https://b.example"]);
    let local = &config.providers["local"];
    assert_eq!((local.kind, local.patience().first_byte), (ProviderKind::OpenAi, Duration::from_secs(300)));
}

#[test]
fn a_variable_names_the_file_unless_one_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let (mine, other) = (folder.path().join("mine.toml"), folder.path().join("other.toml"));
    std::fs::write(&mine, "port = 1\n").unwrap();
    std::fs::write(&other, "port = 2\n").unwrap();
    let env = pairs(&[("RUNHOLD_CONFIG", other.to_str().unwrap())]);
    assert_eq!(Config::load(None, env.clone()).unwrap().port, 2);
    assert_eq!(Config::load(Some(&mine), env).unwrap().port, 1);
}

#[test]
fn variables_for_tools_and_of_others_are_passed_over() {
    assert!(from_env(&[("RUNHOLD_RUN", "1"), ("RUNHOLDER", "2"), ("HOME", "/")]).is_ok());
}

#[test]
fn the_last_of_two_variables_counts() {
    assert_eq!(from_env(&[("RUNHOLD_PORT", "1"), ("RUNHOLD_PORT", "2")]).unwrap().port, 2);
}

#[test]
fn the_store_is_the_one_named_last() {
    assert_eq!(from_file("[store.memory]\n").unwrap().store, StoreConfig::Memory {});
    assert_eq!(from_file("[store.sled]\n").unwrap().store, StoreConfig::Sled { cache_mib: 64 });
    let redb = [("RUNHOLD_STORE__REDB__CACHE_MIB", "8")];
    assert_eq!(
        from_file_and_env("[store.memory]\n", &redb).unwrap().store,
        StoreConfig::Redb { cache_mib: 8 }
    );
    assert_eq!(from_env(&[("RUNHOLD_STORE", "memory")]).unwrap().store, StoreConfig::Memory {});
}

#[test]
fn a_key_of_openai_makes_a_provider() {
    let of = |env: &[(&str, &str)]| {
        let openai = from_env(env).unwrap().providers.remove("openai")?;
        Some((openai.base_url.unwrap(), openai.api_key.unwrap().expose().to_owned()))
    };
    assert_eq!(of(&[]), None);
    assert_eq!(of(&[("OPENAI_API_KEY", "")]), None);
    let official = Some(("https://api.openai.com/v1".into(), "sk-1".into()));
    assert_eq!(of(&[("OPENAI_API_KEY", "sk-1")]), official);
    let elsewhere = Some(("http://localhost:1/v1".into(), "sk-1".into()));
    assert_eq!(of(&[("OPENAI_API_KEY", "sk-1"), ("OPENAI_BASE_URL", "http://localhost:1/v1")]), elsewhere);
}

#[test]
fn names_that_other_servers_gave_to_variables_are_heard_and_ours_count_before_them() {
    let others = [
        ("PORT", "9000"),
        ("API_PREFIX", "/api"),
        ("CORS_ALLOWED_ORIGINS", "https://a.example, https://b.example"),
        ("SSE_HEARTBEAT_INTERVAL_SECS", "7"),
        ("SSE_REALTIME_CYCLE_SECS", "70"),
        ("DEFAULT_OPENAI_API_KEY", "sk-2"),
    ];
    let config = from_env(&others).unwrap();
    let server = &config.server;
    assert_eq!((config.port, server.prefix.as_str()), (9000, "/api"));
    assert_eq!(server.cors_origins, ["https://a.example", "https://b.example"]);
    assert_eq!((server.stream_heartbeat_seconds, server.stream_cycle_seconds), (7, 70));
    assert_eq!(config.providers["openai"].api_key.as_ref().unwrap().expose(), "sk-2");
    let both = [
        ("PORT", "9000"),
        ("RUNHOLD_PORT", "1"),
        ("OPENAI_API_KEY", "sk-1"),
        ("DEFAULT_OPENAI_API_KEY", "sk-2"),
    ];
    let config = from_env(&both).unwrap();
    assert_eq!((config.port, config.providers["openai"].api_key.as_ref().unwrap().expose()), (1, "sk-1"));
    for prefix in ["api", "/a b", "/a//b", "/..", "/a?b"] {
        let expected = format!("API_PREFIX: `{prefix}` is no beginning of a path; write it as in `/api`");
        assert_eq!(from_env(&[("API_PREFIX", prefix)]).unwrap_err(), expected);
    }
}

#[test]
fn a_declared_provider_finds_its_key_in_the_variable_it_names() {
    let file =
        "[providers.local]\nkind = \"openai\"\nbase_url = \"http://x/v1\"\napi_key_env = \"LOCAL_KEY\"\n";
    let local = from_file_and_env(file, &[("LOCAL_KEY", "abc")]).unwrap().providers.remove("local").unwrap();
    assert_eq!(local.api_key.unwrap().expose(), "abc");
    assert_eq!(
        from_file(file).unwrap_err(),
        "my.toml:4:1: `providers.local.api_key_env`: the variable `LOCAL_KEY` is not set"
    );
}

#[test]
fn providers_have_the_keys_of_their_kind() {
    let file =
        "[providers.a]\nkind = \"openai\"\ndelay_ms = 1\n\n[providers.scripted]\nbase_url = \"http://x\"\n";
    assert_eq!(
        from_file(file).unwrap_err(),
        r#"my.toml:1:12: `providers.a.base_url`: is missing
  1 | [providers.a]
    |            ^
my.toml:3:1: `providers.a.delay_ms`: does not belong to a provider of this kind
  3 | delay_ms = 1
    | ^^^^^^^^
my.toml:6:1: `providers.scripted.base_url`: does not belong to a provider of this kind
  6 | base_url = "http://x"
    | ^^^^^^^^"#
    );
    assert_eq!(
        from_file("[providers.a]\nkind = \"claude\"\n").unwrap_err(),
        "my.toml:2:8: unknown value `claude`; expected `openai` or `scripted`
  2 | kind = \"claude\"
    |        ^^^^^^^^"
    );
    assert_eq!(
        from_file("[providers.a]\nbase_url = \"x\"\nidle = \"5\"\n").unwrap_err(),
        "my.toml:3:8: `5` is no duration; write it as in `500ms`, `30s` or `2m`
  3 | idle = \"5\"
    |        ^^^"
    );
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_those_there_are() {
    assert_eq!(
        from_file("port = 1\n\n[server]\nthreads = 2\n").unwrap_err(),
        "my.toml:4:1: unknown \
             key `threads`; expected one of `prefix`, `cors_origins`, `json_bytes`, `multipart_bytes`, `workers`, \
             `head_seconds`, `body_seconds`, `idle_seconds`, `write_seconds`, `most_connections`, `most_streams`, \
             `stream_heartbeat_seconds`, `stream_cycle_seconds`, `client_tool_seconds`
  4 | threads = 2
    | ^^^^^^^"
    );
    assert_eq!(
        from_file("hots = \"x\"\n").unwrap_err(),
        "my.toml:1:1: unknown key `hots`; expected one of `host`, `port`, `token`, `data`, \
             `agents`, `log`, `log_format`, `os_id`, `name`, `description`, `default_model`, \
             `server`, `store`, `providers`, `mcp`, `network`, `runs`, `triage`
  1 | hots = \"x\"
    | ^^^^"
    );
    assert_eq!(
        from_file("[store.sled]\npth = \"x\"\n").unwrap_err(),
        "my.toml:2:1: unknown key `pth`; expected `cache_mib`
  2 | pth = \"x\"
    | ^^^"
    );
    assert_eq!(
        from_file("[store.postgres]\n").unwrap_err(),
        "my.toml:1:8: unknown value `postgres`; expected one of `memory`, `sled`, `redb`
  1 | [store.postgres]
    |        ^^^^^^^^"
    );
}

#[test]
fn a_wrong_value_is_named_with_its_place() {
    assert_eq!(
        from_file("port = \"many\"\n").unwrap_err(),
        "my.toml:1:8: invalid type: string \"many\"; expected a whole number from 0 to 65535
  1 | port = \"many\"
    |        ^^^^^^"
    );
    assert_eq!(
        from_file("port = 70000\n").unwrap_err(),
        "my.toml:1:8: invalid value: integer `70000`; expected a whole number from 0 to 65535
  1 | port = 70000
    |        ^^^^^"
    );
    assert_eq!(
        from_file("log_format = \"xml\"\n").unwrap_err(),
        "my.toml:1:14: unknown value `xml`; expected `text` or `json`
  1 | log_format = \"xml\"
    |              ^^^^^"
    );
    assert_eq!(
        from_file("default_model = \"gpt-4o\"\n").unwrap_err(),
        "my.toml:1:17: must be `provider/model`, as in `openai/gpt-4o-mini`
  1 | default_model = \"gpt-4o\"
    |                 ^^^^^^^^"
    );
    assert_eq!(
        from_file("port = \n").unwrap_err(),
        "my.toml:1:8: string values must be quoted; expected literal string
  1 | port = 
    |        ^"
    );
    assert_eq!(
        from_file("\n[server]\nworkers = 0\ncors_origins = [\"*\"]\n").unwrap_err(),
        "my.toml:3:1: `server.workers`: must be at least 1
  3 | workers = 0
    | ^^^^^^^
my.toml:4:1: `server.cors_origins`: `*` is no origin; write it as in `https://example.org`, without \
             a path
  4 | cors_origins = [\"*\"]
    | ^^^^^^^^^^^^"
    );
    assert_eq!(
        from_file("default_model = \"openai/gpt-4o\"\n").unwrap_err(),
        "my.toml:1:1: `default_model`: no provider `openai`; configured: `scripted`
  1 | default_model = \"openai/gpt-4o\"
    | ^^^^^^^^^^^^^"
    );
    assert_eq!(
        from_file("log = \"runhold=loud\"\n").unwrap_err(),
        "my.toml:1:1: `log`: no filter for logs: error parsing level filter: expected one of \
             \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\", or a number 0-5
  1 | log = \"runhold=loud\"
    | ^^^"
    );
}

#[test]
fn a_wrong_variable_is_named() {
    assert_eq!(
        from_env(&[("RUNHOLD_PORT", "many")]).unwrap_err(),
        "RUNHOLD_PORT: invalid type: string \"many\"; expected a whole number from 0 to 65535"
    );
    assert_eq!(
        from_env(&[("RUNHOLD_PORT", "70000")]).unwrap_err(),
        "RUNHOLD_PORT: invalid value: integer `70000`; expected a whole number from 0 to 65535"
    );
    assert_eq!(
        from_env(&[("RUNHOLD_SERVER__WORKERS", "0")]).unwrap_err(),
        "RUNHOLD_SERVER__WORKERS: must be at least 1"
    );
    assert_eq!(
        from_env(&[("RUNHOLD_STORE", "mysql")]).unwrap_err(),
        "RUNHOLD_STORE: unknown value `mysql`; expected one of `memory`, `sled`, `redb`"
    );
}

#[test]
fn an_unknown_variable_is_answered_with_the_closest() {
    assert_eq!(
        from_env(&[("RUNHOLD_PROT", "1"), ("RUNHOLD_SERVER_WORKERS", "1")]).unwrap_err(),
        "RUNHOLD_PROT: no such variable; the closest is RUNHOLD_PORT
RUNHOLD_SERVER_WORKERS: no such variable; the closest is RUNHOLD_SERVER__WORKERS"
    );
}

#[test]
fn faults_of_file_and_variables_are_told_together() {
    assert_eq!(
        from_file_and_env("hots = 1\n", &[("RUNHOLD_PORT", "x")]).unwrap_err(),
        "my.toml:1:1: unknown key `hots`; expected one of `host`, `port`, `token`, `data`, \
             `agents`, `log`, `log_format`, `os_id`, `name`, `description`, `default_model`, \
             `server`, `store`, `providers`, `mcp`, `network`, `runs`, `triage`
  1 | hots = 1
    | ^^^^
RUNHOLD_PORT: invalid type: string \"x\"; expected a whole number from 0 to 65535"
    );
}

#[test]
fn a_missing_file_is_said() {
    let error =
        Config::load(Some(Path::new("nowhere.toml")), []).map_err(|faults| said(&faults)).unwrap_err();
    assert_eq!(
        error,
        "nowhere.toml:1:1: the configuration cannot be read: No such file or directory (os error 2)"
    );
}

#[test]
fn listening_to_others_needs_a_token() {
    assert_eq!(
        from_env(&[("RUNHOLD_HOST", "0.0.0.0")]).unwrap_err(),
        "RUNHOLD_HOST: listening on `0.0.0.0` opens the server to others and needs a token: set \
             `token` or RUNHOLD_TOKEN"
    );
    assert_eq!(
        from_file("host = \"example.org\"\n").unwrap_err(),
        "my.toml:1:1: `host`: listening on `example.org` opens the server to others and needs a \
             token: set `token` or RUNHOLD_TOKEN
  1 | host = \"example.org\"
    | ^^^^"
    );
    assert_eq!(
        from_env(&[("RUNHOLD_HOST", "::"), ("RUNHOLD_TOKEN", "")]).unwrap_err(),
        "RUNHOLD_TOKEN: a token is one or more visible ASCII characters without spaces"
    );
    for host in ["localhost", "::1", "127.0.0.2"] {
        assert!(from_env(&[("RUNHOLD_HOST", host)]).is_ok(), "{host}");
    }
    assert!(from_env(&[("RUNHOLD_HOST", "0.0.0.0"), ("RUNHOLD_TOKEN", "abc")]).is_ok());
}

#[test]
fn a_token_is_never_repeated() {
    let config = from_env(&[("RUNHOLD_TOKEN", "very-hushed"), ("OPENAI_API_KEY", "sk-hushed")]).unwrap();
    assert!(!format!("{config:?}").contains("hushed"));
    assert_eq!(
        from_file("token = 123456\n").unwrap_err(),
        "my.toml:1:9: a secret must be text in \
             quotes"
    );
    assert_eq!(
        from_file("token = very-private\n").unwrap_err(),
        "my.toml:1:9: string values must be quoted; expected literal string"
    );
    assert_eq!(
        from_env(&[("RUNHOLD_TOKEN", "very private")]).unwrap_err(),
        "RUNHOLD_TOKEN: a token is one or more visible ASCII characters without spaces"
    );
}

#[test]
fn a_key_in_the_place_of_its_name_is_not_repeated() {
    let file = "[providers.a]\nbase_url = \"ftp://user:private@x\"\napi_key_env = \"sk-private\"\n";
    assert_eq!(
        from_file(file).unwrap_err(),
        "my.toml:2:1: `providers.a.base_url`: must begin with `https://` or `http://`
my.toml:3:1: `providers.a.api_key_env`: must be the name of a variable, as in `LOCAL_KEY`; not the key"
    );
}

#[test]
fn the_overlays_that_come_along_are_fine() {
    for file in ["config/default.toml", "config/local-model.toml", "config/redb.toml"] {
        let loaded = Config::load(Some(Path::new(file)), []).map(|_| ()).map_err(|faults| said(&faults));
        assert_eq!(loaded, Ok(()), "{file}");
    }
}

#[test]
fn the_schema_accepts_the_defaults_and_refuses_unknown_keys() {
    let validator = jsonschema::validator_for(&schema(What::Config)).unwrap();
    let mut config = serde_json::to_value(toml::from_str::<toml::Table>(DEFAULTS).unwrap()).unwrap();
    assert!(validator.validate(&config).is_ok());
    config["server"]["threads"] = 2.into();
    assert!(!validator.is_valid(&config));
}
