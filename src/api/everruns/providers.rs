//! Providers: those that clients added, which can be changed, and those of the configuration, which can be read and
//! given models.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::body::Body;
use super::error::Error;
use super::ids::{self, PROVIDER};
use super::llm_models;
use super::page;
use super::provider_body::{ModelForm, Provider, ProviderForm, unsaid};
use super::schemas::{JSON, list_of};
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::endpoint::Endpoint;
use crate::api::fields::path_text;
use crate::domain::id::{ModelName, Owner};
use crate::providers::saved::{DefaultModel, Origin, ProviderKey, SavedModel, SavedProvider, THE_DEFAULT};
use crate::runtime::documents::Changes;

const NO_SUCH: &str = "There is no such provider";
const OF_CONFIGURATION: &str = "It is the configuration's";

/// The same under the names of then and of now: paths, and what they are called.
type Names = ([&'static str; 4], [&'static str; 8]);

const NAMES: [Names; 2] = [
    (
        [
            "/llm-providers",
            "/llm-providers/{provider_id}",
            "/llm-providers/{provider_id}/models",
            "/llm-providers/{provider_id}/sync-models",
        ],
        [
            "list_llm_providers",
            "create_llm_provider",
            "get_llm_provider",
            "update_llm_provider",
            "delete_llm_provider",
            "list_llm_provider_models",
            "create_llm_provider_model",
            "sync_llm_provider_models",
        ],
    ),
    (
        [
            "/providers",
            "/providers/{provider_id}",
            "/providers/{provider_id}/models",
            "/providers/{provider_id}/sync-models",
        ],
        [
            "list_providers",
            "create_provider",
            "get_provider",
            "update_provider",
            "delete_provider",
            "list_provider_models",
            "create_provider_model",
            "sync_provider_models",
        ],
    ),
];

pub(super) fn table() -> Vec<Endpoint> {
    NAMES.into_iter().flat_map(|(paths, names)| table_of(paths, names)).collect()
}

fn table_of([all, one, models, sync]: [&'static str; 4], names: [&'static str; 8]) -> Vec<Endpoint> {
    let [list_name, create_name, get_name, change_name, remove_name, models_name, add_name, sync_name] =
        names;
    vec![
        Endpoint::get(all, list).named(list_name, "Providers", "List who answers").tells(
            "200",
            "The providers",
            &list_of("Provider"),
        ),
        Endpoint::post(all, create)
            .named(create_name, "Providers", "Add a provider")
            .takes([(JSON, "NewProvider")], true)
            .tells("201", "The provider", "Provider")
            .fails("503", "Its key cannot be kept: there is none to seal it with"),
        Endpoint::get(one, read)
            .named(get_name, "Providers", "Read a provider")
            .tells("200", "The provider", "Provider")
            .fails("404", NO_SUCH),
        Endpoint::patch(one, change)
            .named(change_name, "Providers", "Change what is given of a provider")
            .takes([(JSON, "ProviderPatch")], false)
            .tells("200", "The provider, changed", "Provider")
            .fails("404", NO_SUCH)
            .fails("409", OF_CONFIGURATION),
        Endpoint::delete(one, remove)
            .named(remove_name, "Providers", "Remove a provider and its models")
            .gives("204", "It is gone", &[])
            .fails("404", NO_SUCH)
            .fails("409", OF_CONFIGURATION),
        Endpoint::get(models, list_models)
            .named(models_name, "Providers", "List a provider's models")
            .tells("200", "The models", &list_of("Model"))
            .fails("404", NO_SUCH),
        Endpoint::post(models, add_model)
            .named(add_name, "Providers", "Add a model")
            .takes([(JSON, "NewModel")], true)
            .tells("201", "The model", "Model")
            .fails("404", NO_SUCH)
            .fails("409", "It is there already"),
        Endpoint::post(sync, sync_models)
            .named(sync_name, "Providers", "Ask a provider which models it has")
            .tells("200", "The models", &list_of("Model"))
            .fails("404", NO_SUCH)
            .fails("502", "It did not say"),
    ]
}

/// `GET /llm-providers`
async fn list(state: Data<ApiState>, caller: Caller) -> Result<HttpResponse, Error> {
    let all = all(&state, caller.owner()).await?;
    Ok(page::list(all.iter().map(|provider| provider.shown(state.runtime.since())).collect()))
}

/// All providers of an owner, and those of the configuration.
pub(super) async fn all(state: &ApiState, owner: &Owner) -> Result<Vec<Provider>, Error> {
    let saved = state.runtime.documents(owner).all::<SavedProvider>(None).await?;
    let saved = saved.into_iter().map(|saved| Provider::Saved(saved.value));
    let configured = state.providers.configured().iter().cloned().map(Provider::Configured);
    Ok(saved.chain(configured).collect())
}

async fn of_path(state: &ApiState, owner: &Owner, request: &HttpRequest) -> Result<Provider, Error> {
    let id = ids::parse(PROVIDER, &path_text(request, "provider_id"))?;
    let found = all(state, owner).await?.into_iter().find(|provider| provider.id().1 == id);
    found.ok_or_else(|| Error::not_found("Provider not found"))
}

/// The provider, if it may be changed.
async fn changeable(state: &ApiState, owner: &Owner, request: &HttpRequest) -> Result<SavedProvider, Error> {
    match of_path(state, owner, request).await? {
        Provider::Saved(saved) => Ok(saved),
        Provider::Configured(_) => Err(Error::conflict(
            "The provider stands in the server's configuration; it can only be changed there",
        )),
    }
}

/// `POST /llm-providers`
async fn create(
    state: Data<ApiState>,
    caller: Caller,
    Body(form): Body<ProviderForm>,
) -> Result<HttpResponse, Error> {
    let owner = caller.owner();
    for (field, is_there) in [("name", form.name.is_some()), ("provider_type", form.provider_type.is_some())]
    {
        if !is_there {
            return Err(Error::bad_request(format!("{field} is required")));
        }
    }
    let (id, now) = (state.runtime.fresh(), state.runtime.now());
    let blank = SavedProvider {
        id,
        key: String::new(),
        name: String::new(),
        provider_type: String::new(),
        base_url: None,
        api_key: None,
        disabled: false,
        synced: None,
        created: now,
        updated: now,
    };
    let mut provider = form.applied(blank, &state)?;
    let taken: Vec<String> = all(&state, owner).await?.iter().map(|one| one.key().to_owned()).collect();
    provider.key = free_key(&provider.name, &taken);
    let key = ProviderKey { key: provider.key.clone(), provider: id };
    state.runtime.documents(owner).write(Changes::default().create(&provider).create(&key)).await?;
    state.runtime.refresh(owner);
    Ok(HttpResponse::Created().json(Provider::Saved(provider).shown(now)))
}

/// What models' names begin with: the provider's name in small letters, with a number if others have it.
fn free_key(name: &str, taken: &[String]) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let slug: String = name.chars().take(40).map(fit).collect();
    let slug = slug.trim_matches('-');
    let slug = if slug.is_empty() { "provider" } else { slug };
    let mut key = slug.to_owned();
    let mut number = 2;
    while taken.contains(&key) {
        key = format!("{slug}-{number}");
        number += 1;
    }
    key
}

/// `GET /llm-providers/{provider_id}`
async fn read(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let provider = of_path(&state, caller.owner(), &request).await?;
    Ok(HttpResponse::Ok().json(provider.shown(state.runtime.since())))
}

/// `PATCH /llm-providers/{provider_id}`
async fn change(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Body(form): Body<ProviderForm>,
) -> Result<HttpResponse, Error> {
    let before = changeable(&state, caller.owner(), &request).await?;
    let mut after = form.applied(before, &state)?;
    after.updated = state.runtime.now();
    state.runtime.documents(caller.owner()).write(Changes::default().put(&after)).await?;
    state.runtime.refresh(caller.owner());
    Ok(HttpResponse::Ok().json(Provider::Saved(after).shown(state.runtime.since())))
}

/// `DELETE /llm-providers/{provider_id}`
async fn remove(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let provider = changeable(&state, caller.owner(), &request).await?;
    let documents = state.runtime.documents(caller.owner());
    let mut changes = Changes::default()
        .delete::<SavedProvider>(&provider.id.to_string())
        .delete::<ProviderKey>(&provider.key);
    for model in documents.all::<SavedModel>(Some(SavedModel::tag(&provider.key))).await? {
        changes = changes.delete::<SavedModel>(&model.id.to_string());
    }
    let chosen = documents.get::<DefaultModel>(THE_DEFAULT).await?;
    if chosen.is_some_and(|chosen| chosen.model.provider == provider.key) {
        changes = changes.delete::<DefaultModel>(THE_DEFAULT);
    }
    documents.write(changes).await?;
    state.runtime.refresh(caller.owner());
    Ok(HttpResponse::NoContent().finish())
}

/// `GET /llm-providers/{provider_id}/models`
async fn list_models(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let provider = of_path(&state, caller.owner(), &request).await?;
    Ok(page::list(llm_models::of_provider(&state, caller.owner(), &provider).await?))
}

/// `POST /llm-providers/{provider_id}/models`
async fn add_model(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Body(form): Body<ModelForm>,
) -> Result<HttpResponse, Error> {
    let provider = of_path(&state, caller.owner(), &request).await?;
    let model_id = form.model_id.as_deref().ok_or_else(|| Error::bad_request("model_id is required"))?;
    let name: ModelName = format!("{}/{model_id}", provider.key())
        .parse()
        .map_err(|_| Error::bad_request("model_id must be visible text"))?;
    let model = form.applied(unsaid(name, Origin::Manual, state.runtime.now()))?;
    let mut changes = Changes::default().create(&model);
    if form.is_default == Some(true) {
        changes = changes.put(&DefaultModel { model: model.name.clone() });
    }
    let written = state.runtime.documents(caller.owner()).write(changes).await;
    written.map_err(|error| {
        let is_there = matches!(error, crate::runtime::Error::Conflict(_));
        if is_there { Error::conflict("The provider has this model already") } else { error.into() }
    })?;
    state.runtime.refresh(caller.owner());
    let shown = provider.model_shown(&model, form.is_default == Some(true));
    Ok(HttpResponse::Created().json(shown))
}

/// `POST /llm-providers/{provider_id}/sync-models`
async fn sync_models(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let provider = of_path(&state, caller.owner(), &request).await?;
    let documents = state.runtime.documents(caller.owner());
    let unfit = |reason: String| {
        let told = format!("The provider did not list its models: {reason}");
        Error::bad_request(told).with_status(actix_web::http::StatusCode::BAD_GATEWAY)
    };
    let (address, is_configured) = match &provider {
        Provider::Saved(saved) => (state.providers.address(&documents, saved).map_err(unfit)?, false),
        Provider::Configured(one) => (one.address.clone(), true),
    };
    let listed = state.providers.listed(&address, is_configured).await.map_err(unfit)?;
    let now = state.runtime.now();
    let known = documents.all::<SavedModel>(Some(SavedModel::tag(provider.key()))).await?;
    let mut changes = Changes::default();
    for model in listed {
        let Ok(name) = format!("{}/{model}", provider.key()).parse::<ModelName>() else { continue };
        if !known.iter().any(|known| known.name == name) {
            changes = changes.put(&unsaid(name, Origin::Discovered, now));
        }
    }
    let provider = match provider {
        Provider::Saved(saved) => {
            let saved = SavedProvider { synced: Some(now), ..saved };
            changes = changes.put(&saved);
            Provider::Saved(saved)
        }
        configured @ Provider::Configured(_) => configured,
    };
    documents.write(changes).await?;
    state.runtime.refresh(caller.owner());
    Ok(page::list(llm_models::of_provider(&state, caller.owner(), &provider).await?))
}
