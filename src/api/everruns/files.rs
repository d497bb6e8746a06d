//! A session's files. The same under `/workspaces/{id}/fs`, where a workspace's id is its session's with another name.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::body::{self, Body};
use super::error::Error;
use super::file_body::{FileBody, FileForm, InfoBody, OnePath, Passage, StatBody, Wanted, path};
use super::ids::{self, SESSION, WORKSPACE};
use super::page::Query;
use super::schemas::{JSON, list_of};
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::endpoint::{Endpoint, Parameter, ParameterKind};
use crate::api::fields::path_text;
use crate::capability::files::{FileError, Files, Onto, Write};
use crate::capability::search::Search;
use crate::domain::file::FilePath;
use crate::domain::id::{Owner, SessionId};
use crate::runtime::files::SessionFiles;

const NO_SUCH: &str = "There is no such session or file";
const BAD_PATH: &str = "The path is none, or what is there does not allow it";

pub(super) fn table() -> Vec<Endpoint> {
    let roots = [("/sessions/{session_id}", ""), ("/workspaces/{workspace_id}", "workspace_")];
    roots.into_iter().flat_map(|(root, name)| below(root, name)).collect()
}

fn below(root: &str, name: &str) -> Vec<Endpoint> {
    let deep = Parameter::new("recursive", ParameterKind::Flag, "With all that is below it");
    let whole = format!("{root}/fs");
    let one = format!("{root}/fs/{{path:.*}}");
    let operation = |word: &str| format!("{root}/fs/_/{word}");
    let id = |word: &str| format!("{name}{word}");
    let with = |endpoint: Endpoint, word: &str, summary: &str| {
        endpoint.named(&id(word), "Files", summary).fails("404", NO_SUCH).fails("400", BAD_PATH)
    };
    vec![
        with(Endpoint::get(&*whole, read), "list_files", "List files of a session").query(&[deep]).tells(
            "200",
            "What is known of each, by path",
            &list_of("FileInfo"),
        ),
        with(Endpoint::delete(&*whole, delete), "delete_files", "Delete all files of a session")
            .query(&[deep])
            .tells("200", "They are gone", "Deleted"),
        with(Endpoint::get(&*one, read), "read_file", "Read a file, or list a folder").query(&[deep]).tells(
            "200",
            "The file, or what is in the folder",
            "FileOrFolder",
        ),
        with(Endpoint::post(&*one, create), "create_file", "Create a file or folder")
            .takes([(JSON, "NewFile")], false)
            .tells("201", "It is there", "File")
            .fails("409", "Something is there already"),
        with(Endpoint::put(&*one, update), "update_file", "Write a file anew")
            .takes([(JSON, "FilePatch")], false)
            .tells("200", "The file", "File"),
        with(Endpoint::delete(&*one, delete), "delete_file", "Delete a file or folder").query(&[deep]).tells(
            "200",
            "It is gone",
            "Deleted",
        ),
        with(Endpoint::post(operation("move"), rename), "move_file", "Move a file or folder")
            .takes([(JSON, "FilePassage")], true)
            .tells("200", "Where it is now", "File")
            .fails("409", "Something is there already"),
        with(Endpoint::post(operation("copy"), copy), "copy_file", "Copy a file or folder")
            .takes([(JSON, "FilePassage")], true)
            .tells("201", "The copy", "File")
            .fails("409", "Something is there already"),
        with(Endpoint::post(operation("grep"), grep), "grep_files", "Find lines that match a pattern")
            .takes([(JSON, "Grep")], true)
            .tells("200", "The lines, by file", &list_of("GrepResult")),
        with(Endpoint::post(operation("stat"), stat), "stat_file", "What is known of a file")
            .takes([(JSON, "OnePath")], true)
            .tells("200", "What is known of it", "FileStat"),
    ]
}

/// The files that a request is about.
struct Place {
    files: SessionFiles,
    session: SessionId,
}

impl Place {
    async fn of(state: &ApiState, owner: &Owner, request: &HttpRequest) -> Result<Self, Error> {
        let of_workspace = request.match_info().get("workspace_id").is_some();
        let (prefix, name) = if of_workspace { (WORKSPACE, "workspace_id") } else { (SESSION, "session_id") };
        let uuid = ids::parse(prefix, &path_text(request, name))?;
        let id = ids::session_id(state, owner, uuid).await?;
        let session = state.runtime.session(owner, &id).await?.session.id;
        Ok(Self { files: state.runtime.files(owner, &session), session })
    }

    /// What is at a path, with what it holds.
    async fn shown(&self, path: &FilePath) -> Result<FileBody, Error> {
        match self.files.read(path).await {
            Ok((info, content)) => Ok(FileBody::new(&self.session, info, Some(&content))),
            Err(FileError::IsFolder(_)) => {
                let info = self.files.stat(path).await?.ok_or_else(|| FileError::Missing(path.clone()))?;
                Ok(FileBody::new(&self.session, info, None))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The path in the address, from the session's root.
fn named(request: &HttpRequest) -> Result<FilePath, Error> {
    path(&path_text(request, "path"))
}

/// `GET /sessions/{session_id}/fs/{path}`
async fn read(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    query: Query,
) -> Result<HttpResponse, Error> {
    let place = Place::of(&state, caller.owner(), &request).await?;
    let path = named(&request)?;
    let deep = query.flag("recursive")?;
    match place.files.list(&path, deep).await {
        Ok(found) => {
            let found = found.into_iter().map(|info| InfoBody::new(&place.session, info));
            Ok(HttpResponse::Ok().json(json!({"data": found.collect::<Vec<_>>()})))
        }
        Err(FileError::IsFile(_)) => Ok(HttpResponse::Ok().json(place.shown(&path).await?)),
        Err(error) => Err(error.into()),
    }
}

/// `POST /sessions/{session_id}/fs/{path}`
async fn create(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    body::FileBody(form): body::FileBody<FileForm>,
) -> Result<HttpResponse, Error> {
    let place = Place::of(&state, caller.owner(), &request).await?;
    let path = named(&request)?;
    if form.folder {
        if form.content.is_some_and(|content| !content.is_empty()) {
            return Err(Error::bad_request("A directory has no content"));
        }
        let info = place.files.make_folder(&path).await?.info;
        return Ok(HttpResponse::Created().json(FileBody::new(&place.session, info, None)));
    }
    let content = form.content.unwrap_or_default();
    let how = Write { onto: Onto::Nothing, readonly: form.readonly };
    let written = match place.files.write(&path, content.clone(), how).await {
        // What is in the way is what the client should know.
        Err(FileError::IsFolder(path)) => return Err(FileError::Exists(path).into()),
        written => written?,
    };
    Ok(HttpResponse::Created().json(FileBody::new(&place.session, written.info, Some(&content))))
}

/// `PUT /sessions/{session_id}/fs/{path}`
async fn update(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    body::FileBody(form): body::FileBody<FileForm>,
) -> Result<HttpResponse, Error> {
    let place = Place::of(&state, caller.owner(), &request).await?;
    let path = named(&request)?;
    let (onto, content) = match form.content {
        Some(content) => (Onto::File, content),
        None => {
            let (info, content) = place.files.read(&path).await?;
            (Onto::Unchanged(info.updated), content)
        }
    };
    let how = Write { onto, readonly: form.readonly };
    let written = place.files.write(&path, content.clone(), how).await?;
    Ok(HttpResponse::Ok().json(FileBody::new(&place.session, written.info, Some(&content))))
}

/// `DELETE /sessions/{session_id}/fs/{path}`
async fn delete(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    query: Query,
) -> Result<HttpResponse, Error> {
    let place = Place::of(&state, caller.owner(), &request).await?;
    let path = named(&request)?;
    let deep = query.flag("recursive")?;
    if path.is_root() && !deep {
        return Err(Error::bad_request("To delete the root, say recursive"));
    }
    place.files.delete(&path, deep).await?;
    Ok(HttpResponse::Ok().json(json!({"deleted": true})))
}

/// `POST /sessions/{session_id}/fs/_/move`
async fn rename(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Body(passage): Body<Passage>,
) -> Result<HttpResponse, Error> {
    let place = Place::of(&state, caller.owner(), &request).await?;
    let to = path(&passage.to)?;
    place.files.rename(&path(&passage.from)?, &to).await?;
    Ok(HttpResponse::Ok().json(place.shown(&to).await?))
}

/// `POST /sessions/{session_id}/fs/_/copy`
async fn copy(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Body(passage): Body<Passage>,
) -> Result<HttpResponse, Error> {
    let place = Place::of(&state, caller.owner(), &request).await?;
    let to = path(&passage.to)?;
    place.files.copy(&path(&passage.from)?, &to).await?;
    Ok(HttpResponse::Created().json(place.shown(&to).await?))
}

/// `POST /sessions/{session_id}/fs/_/grep`
async fn grep(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Body(wanted): Body<Wanted>,
) -> Result<HttpResponse, Error> {
    let place = Place::of(&state, caller.owner(), &request).await?;
    let search = Search::new(&wanted.pattern, wanted.paths.as_deref()).map_err(Error::bad_request)?;
    let found = search.run(&place.files).await?;
    let files: Vec<Value> = found
        .lines
        .chunk_by(|one, next| one.path == next.path)
        .map(|lines| {
            let matches: Vec<Value> = lines
                .iter()
                .map(|line| json!({"path": line.path, "line_number": line.number, "line": line.text}))
                .collect();
            json!({"path": lines.first().map(|line| &line.path), "matches": matches})
        })
        .collect();
    Ok(HttpResponse::Ok().json(json!({"data": files})))
}

/// `POST /sessions/{session_id}/fs/_/stat`
async fn stat(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Body(OnePath(text)): Body<OnePath>,
) -> Result<HttpResponse, Error> {
    let place = Place::of(&state, caller.owner(), &request).await?;
    let path = path(&text)?;
    let info = place.files.stat(&path).await?.ok_or(FileError::Missing(path))?;
    Ok(HttpResponse::Ok().json(StatBody::new(info)))
}
