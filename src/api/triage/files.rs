//! `/evidence/files`: files that issues can point at; given back as downloads only, whatever is in them.

use actix_web::body::SizedStream;
use actix_web::dev::Payload;
use actix_web::http::header::{
    CONTENT_DISPOSITION, CONTENT_TYPE, Charset, ContentDisposition, DispositionParam, DispositionType,
    ExtendedValue, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::future::LocalBoxFuture;
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::body::Body;
use super::envelope::{self, Answer};
use super::error::Error;
use super::member::{Ids, Member};
use super::moment;
use super::paging::Page;
use super::query::Query;
use crate::api::fields::{Fields, FromFields};
use crate::api::form::Form as Multipart;
use crate::domain::Object;
use crate::domain::id::Owner;
use crate::triage;
use crate::triage::evidence::File;
use crate::triage::form::{Faults, Form};

/// Longest name, in characters.
const NAME: std::ops::RangeInclusive<usize> = 1..=256;
/// What text is where nobody says so otherwise.
const TEXT: &str = "text/plain";
/// What is neither said nor known.
const BYTES: &str = "application/octet-stream";

/// A file that is sent: in a multipart form, or in JSON.
#[derive(Debug)]
pub(super) struct Sent {
    name: String,
    mime_type: String,
    bytes: Bytes,
}

/// What a form may say in place of an upload: a part `file` without a filename.
#[derive(Debug)]
struct Text(Option<String>);

impl FromFields for Text {
    fn from_fields(fields: &mut Fields) -> Self {
        Self(fields.text("file"))
    }
}

impl FromRequest for Sent {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if kind.is_some_and(|kind| kind.trim().to_ascii_lowercase().starts_with("multipart/")) {
            let form = Multipart::<Text>::from_request(request, payload);
            return Box::pin(async move { of_form(form.await?) });
        }
        let body = Body::from_request(request, payload);
        Box::pin(async move {
            let Body(fields) = body.await?;
            Ok(of_json(&fields)?)
        })
    }
}

fn of_form(form: Multipart<Text>) -> Result<Sent, Error> {
    let or = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
    if let Some(sent) = form.uploads.into_iter().find(|upload| upload.field == "file") {
        return Ok(Sent {
            name: or(sent.filename, "file"),
            mime_type: or(sent.mime_type, BYTES),
            bytes: sent.bytes,
        });
    }
    let Text(text) = form.fields;
    let text = text.ok_or_else(|| triage::error::Error::invalid("file", "required"))?;
    Ok(Sent { name: "file".into(), mime_type: TEXT.into(), bytes: text.into() })
}

fn of_json(fields: &Object) -> Result<Sent, Faults> {
    let mut form = Form::of(fields);
    let name = form.required("name", |form| form.text("name", NAME));
    let mime_type = form.text("mime_type", NAME);
    let text = form.string("content").map(|text| Bytes::from(text.to_owned()));
    let base64 = form.string("content_base64").map(|text| STANDARD.decode(text));
    if base64.as_ref().is_some_and(Result::is_err) {
        form.fault("content_base64", "must be base64");
    }
    if form.value("content").is_some() == form.value("content_base64").is_some() {
        form.fault("content", "either this or content_base64 is required");
    }
    let usual = if text.is_some() { TEXT } else { BYTES };
    let bytes = text.or_else(|| base64.and_then(Result::ok).map(Bytes::from)).unwrap_or_default();
    form.done(Sent { name, mime_type: mime_type.unwrap_or_else(|| usual.to_owned()), bytes })
}

/// `POST /evidence/files`
pub(super) async fn upload(member: Member, sent: Sent) -> Result<Answer, Error> {
    let file = member.board.upload(sent.name, sent.mime_type, sent.bytes).await?;
    Ok(envelope::created(shown(member.org(), &file)))
}

/// `GET /evidence/files`
pub(super) async fn list(member: Member, mut query: Query) -> Result<Answer, Error> {
    let page = Page::of(&mut query, "files");
    query.done(())?;
    let found = member.board.files(page.listing()).await?;
    Ok(page.answer(&found, |file| shown(member.org(), file)))
}

/// `GET /evidence/files/{file_id}`
pub(super) async fn read(member: Member, ids: Ids) -> Result<Answer, Error> {
    let file = find(&member, &ids).await?;
    Ok(envelope::ok(shown(member.org(), &file)))
}

/// `GET /evidence/files/{file_id}/content`
pub(super) async fn content(member: Member, ids: Ids) -> Result<HttpResponse, Error> {
    let file = find(&member, &ids).await?;
    let disposition = download_as(&file.name);
    let kind = HeaderValue::from_str(&file.mime_type).unwrap_or(HeaderValue::from_static(BYTES));
    let (board, size) = (member.board.clone(), file.size as u64);
    let pieces = stream::iter(0..file.pieces()).then(move |number| {
        let (board, id) = (board.clone(), file.id.clone());
        async move { board.piece(&id, number).await }
    });
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, kind))
        .insert_header((CONTENT_DISPOSITION, disposition))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(SizedStream::new(size, pieces)))
}

/// A name in ASCII for all, and the name itself for those who read it.
fn download_as(name: &str) -> ContentDisposition {
    let plain = |letter: char| if letter.is_ascii_graphic() || letter == ' ' { letter } else { '_' };
    let whole = ExtendedValue {
        charset: Charset::Ext("UTF-8".into()),
        language_tag: None,
        value: name.as_bytes().to_vec(),
    };
    let parameters = vec![
        DispositionParam::Filename(name.chars().map(plain).collect()),
        DispositionParam::FilenameExt(whole),
    ];
    ContentDisposition { disposition: DispositionType::Attachment, parameters }
}

/// `DELETE /evidence/files/{file_id}`
pub(super) async fn delete(member: Member, ids: Ids) -> Result<Answer, Error> {
    let id = ids.uuid("file_id", "File")?;
    if member.board.forget_file(&id.to_string()).await? { Ok(envelope::gone()) } else { Err(missing()) }
}

async fn find(member: &Member, ids: &Ids) -> Result<File, Error> {
    let id = ids.uuid("file_id", "File")?;
    member.board.file(&id.to_string()).await?.ok_or_else(missing)
}

fn missing() -> Error {
    triage::error::Error::NotFound("File").into()
}

fn shown(owner: &Owner, file: &File) -> Value {
    json!({
        "id": file.id,
        "org_id": owner,
        "name": file.name,
        "mime_type": file.mime_type,
        "size": file.size,
        "sha256": file.sha256,
        "created_at": moment(file.created),
    })
}
