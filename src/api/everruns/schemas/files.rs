//! What a session keeps: files, values, secrets, databases; and pictures.

use serde_json::{Value, json};

use super::{
    Schemas, about, either, flagged, id, list, list_of, maybe, number, object, one_of, sized, text, time,
    times, uuid, whole, with,
};
use crate::api::everruns::ids::{IMAGE, SESSION};

pub(super) fn all() -> Schemas {
    let mut all = of_files();
    all.extend(of_storage());
    all.extend(of_databases());
    all.extend(of_images());
    all
}

fn path() -> Value {
    about(sized(1..=1024), "From the session's root")
}

fn stat() -> [(&'static str, Value); 7] {
    let [created, updated] = times();
    [
        ("path", text()),
        ("name", text()),
        ("is_directory", flagged()),
        ("is_readonly", flagged()),
        ("size_bytes", number(0)),
        created,
        updated,
    ]
}

fn info() -> Vec<(&'static str, Value)> {
    [[("id", uuid()), ("session_id", id(SESSION))].as_slice(), &stat()].concat()
}

fn encoding() -> (&'static str, Value) {
    (
        "encoding",
        about(one_of(&["text", "base64"]), "How content is written; where it is sent the default is text"),
    )
}

fn of_files() -> Schemas {
    let content = [("content", about(text(), "None of a directory"))];
    let write = [("content", text()), encoding(), ("is_readonly", flagged())];
    let directory = [("is_directory", about(flagged(), "It is to be a directory, without content"))];
    let passage = [("src_path", path()), ("dst_path", path())];
    let pattern = [
        ("pattern", about(text(), "A regular expression, as the Rust crate regex has them")),
        ("path_pattern", about(text(), "Only in files whose path fits this glob")),
    ];
    let line = [("path", text()), ("line_number", number(1)), ("line", text())];
    let found = [("path", text()), ("matches", list(&whole(&line)))];
    vec![
        ("FileInfo", whole(&info())),
        ("FileStat", whole(&stat())),
        ("File", with(&[info(), vec![encoding()]].concat(), &content)),
        ("FileOrFolder", either(&["File", &list_of("FileInfo")])),
        ("NewFile", object(&[write.as_slice(), &directory].concat(), &[])),
        ("FilePatch", object(&write, &[])),
        ("FilePassage", whole(&passage)),
        ("Grep", object(&pattern, &["pattern"])),
        ("GrepResult", whole(&found)),
        ("OnePath", whole(&[("path", path())])),
        ("Deleted", whole(&[("deleted", flagged())])),
    ]
}

fn of_storage() -> Schemas {
    let secrets = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    vec![
        ("StoredValue", whole(&[[("key", text()), ("value", text())].as_slice(), &times()].concat())),
        ("StoredSecret", whole(&[[("name", text())].as_slice(), &times()].concat())),
        ("NewSecrets", whole(&[("secrets", about(secrets, "Their values by their names"))])),
    ]
}

fn of_databases() -> Schemas {
    let name = json!({ "type": "string", "pattern": "^[A-Za-z0-9_]{1,64}$" });
    let counts = [("name", text()), ("size_bytes", number(0)), ("page_count", number(0))];
    let column = [
        ("name", text()),
        ("type", text()),
        ("notnull", flagged()),
        ("pk", flagged()),
        ("default_value", maybe(text())),
    ];
    let table = [("name", text()), ("columns", list(&whole(&column))), ("row_count", number(0))];
    vec![
        ("Database", whole(&[counts.as_slice(), &times()].concat())),
        ("NewDatabase", whole(&[("name", name)])),
        ("DatabaseSchema", whole(&[("database", text()), ("tables", list(&whole(&table)))])),
    ]
}

fn of_images() -> Schemas {
    let image = [
        ("id", id(IMAGE)),
        ("filename", text()),
        ("content_type", text()),
        ("size_bytes", number(0)),
        ("created_at", time()),
    ];
    let bytes = json!({ "type": "string", "contentMediaType": "application/octet-stream" });
    vec![("Image", whole(&image)), ("ImageForm", whole(&[("file", about(bytes, "Up to 20 MiB"))]))]
}
