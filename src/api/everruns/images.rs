//! Pictures: uploaded, given back, taken away.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::error::Error;
use super::ids::{self, IMAGE, PublicId};
use super::page;
use super::schemas::list_of;
use super::time::moment;
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::endpoint::Endpoint;
use crate::api::fields::{Fields, FromFields, path_text};
use crate::api::form::Form;
use crate::domain::id::Owner;
use crate::images::{self, Image, MAX_BYTES};
use crate::runtime::documents::Listing;

const NO_SUCH: &str = "There is no such image";

/// Images of one list.
const MOST_LISTED: usize = 100;

pub(super) fn table() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/images", create)
            .named("upload_image", "Images", "Upload a picture: PNG, JPEG, GIF or WebP, up to 20 MiB")
            .takes([("multipart/form-data", "ImageForm")], true)
            .tells("201", "What is known of it", "Image")
            .fails("400", "It is no such picture")
            .fails("413", "It is too large"),
        Endpoint::get("/images", list).named("list_images", "Images", "The newest pictures").tells(
            "200",
            "What is known of them",
            &list_of("Image"),
        ),
        Endpoint::get("/images/{image_id}", read)
            .named("get_image", "Images", "The picture itself")
            .gives("200", "Its bytes", &["image/png", "image/jpeg", "image/gif", "image/webp"])
            .fails("404", NO_SUCH),
        Endpoint::delete("/images/{image_id}", remove)
            .named("delete_image", "Images", "Take a picture away")
            .gives("204", "It is gone", &[])
            .fails("404", NO_SUCH),
    ]
}

/// The form has nothing but a file.
struct NoFields;

impl FromFields for NoFields {
    fn from_fields(_: &mut Fields) -> Self {
        Self
    }
}

/// `POST /images`
async fn create(state: Data<ApiState>, caller: Caller, form: Form<NoFields>) -> Result<HttpResponse, Error> {
    let upload = form.uploads.into_iter().find(|upload| upload.field == "file");
    let upload = upload.ok_or_else(|| Error::bad_request("The multipart field `file` is missing"))?;
    if upload.bytes.len() > MAX_BYTES {
        let told = format!("An image may have {MAX_BYTES} bytes");
        return Err(Error::bad_request(told).with_status(actix_web::http::StatusCode::PAYLOAD_TOO_LARGE));
    }
    let content_type = images::content_type(&upload.bytes)
        .ok_or_else(|| Error::bad_request("The file is neither PNG, JPEG, GIF nor WebP"))?;
    let image = Image {
        id: state.runtime.fresh(),
        filename: upload.filename,
        content_type: content_type.into(),
        size_bytes: upload.bytes.len(),
        created: state.runtime.now(),
    };
    images::keep(&state.runtime.documents(caller.owner()), &image, &upload.bytes).await?;
    Ok(HttpResponse::Created().json(shown(&image)))
}

/// `GET /images`
async fn list(state: Data<ApiState>, caller: Caller) -> Result<HttpResponse, Error> {
    let listing = Listing { newest_first: true, limit: MOST_LISTED, ..Listing::default() };
    let listed = state.runtime.documents(caller.owner()).list::<Image>(listing).await?;
    Ok(page::list(listed.documents.iter().map(|image| shown(image)).collect()))
}

/// `GET /images/{image_id}`
async fn read(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let image = of_path(&state, caller.owner(), &request).await?;
    let bytes = images::bytes(&state.runtime.documents(caller.owner()), &image).await?;
    let mut response = HttpResponse::Ok();
    response.content_type(image.content_type.as_str());
    response.insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
    response.insert_header((CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"));
    response.insert_header((CACHE_CONTROL, "private, max-age=31536000, immutable"));
    Ok(response.body(bytes))
}

/// `DELETE /images/{image_id}`
async fn remove(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let image = of_path(&state, caller.owner(), &request).await?;
    images::remove(&state.runtime.documents(caller.owner()), &image).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn of_path(state: &ApiState, owner: &Owner, request: &HttpRequest) -> Result<Image, Error> {
    let id = ids::parse(IMAGE, &path_text(request, "image_id"))?;
    let found = state.runtime.documents(owner).get::<Image>(&id.to_string()).await?;
    found.map(|found| found.value).ok_or_else(|| Error::not_found("Image not found"))
}

fn shown(image: &Image) -> Value {
    json!({
        "id": PublicId(IMAGE, image.id),
        "filename": image.filename,
        "content_type": image.content_type,
        "size_bytes": image.size_bytes,
        "created_at": moment(image.created),
    })
}
