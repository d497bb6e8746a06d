//! Models: those that were added or discovered, and those that the configuration and agents name.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::Value;

use super::body::Body;
use super::error::Error;
use super::ids::{self, MODEL};
use super::page::{self, Query};
use super::provider_body::{ModelForm, Provider, unsaid};
use super::schemas::{JSON, list_of};
use super::{models, providers};
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::endpoint::{Endpoint, Parameter, ParameterKind};
use crate::api::fields::path_text;
use crate::domain::id::{ModelName, Owner};
use crate::providers::saved::{DefaultModel, Origin, SavedModel, THE_DEFAULT};
use crate::runtime::documents::Changes;

const NO_SUCH: &str = "There is no such model";

/// The same under the names of then and of now.
const NAMES: [([&str; 2], [&str; 4]); 2] = [
    (
        ["/llm-models", "/llm-models/{model_id}"],
        ["list_llm_models", "get_llm_model", "update_llm_model", "delete_llm_model"],
    ),
    (["/models", "/models/{model_id}"], ["list_models", "get_model", "update_model", "delete_model"]),
];

pub(super) fn table() -> Vec<Endpoint> {
    NAMES.into_iter().flat_map(|(paths, names)| table_of(paths, names)).collect()
}

fn table_of([all, one]: [&'static str; 2], names: [&'static str; 4]) -> Vec<Endpoint> {
    let [list_name, get_name, change_name, remove_name] = names;
    vec![
        Endpoint::get(all, list)
            .named(list_name, "Models", "List all models")
            .query(&[
                Parameter::new("source", ParameterKind::Text, "manual, discovered or predefined"),
                Parameter::new("favorites_only", ParameterKind::Flag, "Favorites alone"),
                Parameter::new("include_stale", ParameterKind::Flag, "Disabled ones too"),
            ])
            .tells("200", "The models", &list_of("Model")),
        Endpoint::get(one, read)
            .named(get_name, "Models", "Read a model")
            .tells("200", "The model", "Model")
            .fails("404", NO_SUCH),
        Endpoint::patch(one, change)
            .named(change_name, "Models", "Change what is given of a model")
            .takes([(JSON, "ModelPatch")], false)
            .tells("200", "The model, changed", "Model")
            .fails("404", NO_SUCH),
        Endpoint::delete(one, remove)
            .named(remove_name, "Models", "Remove a model")
            .gives("204", "It is gone", &[])
            .fails("404", NO_SUCH)
            .fails("409", "The configuration or an agent names it"),
    ]
}

/// All models of all providers, and which of them is the default.
struct Known {
    models: Vec<(Provider, Vec<SavedModel>)>,
    default: Option<ModelName>,
}

async fn known(state: &ApiState, owner: &Owner) -> Result<Known, Error> {
    let workspace = state.runtime.workspace(owner).await?;
    let saved = state.runtime.documents(owner).all::<SavedModel>(None).await?;
    let named = models::known(&workspace);
    let named = named.into_iter().filter(|name| !saved.iter().any(|model| model.name == *name));
    let since = state.runtime.since();
    let mut all: Vec<SavedModel> = saved.iter().map(|model| model.value.clone()).collect();
    all.extend(named.map(|name| unsaid(name, Origin::Predefined, since)));
    let mut models = Vec::new();
    for provider in providers::all(state, owner).await? {
        let (its, others) = all.into_iter().partition(|model| model.name.provider == provider.key());
        all = others;
        models.push((provider, its));
    }
    Ok(Known { models, default: workspace.models.default_model().cloned() })
}

impl Known {
    fn shown(&self, provider: &Provider, model: &SavedModel) -> Value {
        provider.model_shown(model, self.default.as_ref() == Some(&model.name))
    }

    fn find(&self, request: &HttpRequest) -> Result<(&Provider, &SavedModel), Error> {
        let id = ids::parse(MODEL, &path_text(request, "model_id"))?;
        let mut all =
            self.models.iter().flat_map(|(provider, models)| models.iter().map(move |one| (provider, one)));
        all.find(|(_, model)| model.id == id).ok_or_else(|| Error::not_found("Model not found"))
    }
}

/// The models of one provider, as they are shown.
pub(super) async fn of_provider(
    state: &ApiState,
    owner: &Owner,
    provider: &Provider,
) -> Result<Vec<Value>, Error> {
    let known = known(state, owner).await?;
    let its = known.models.iter().filter(|(one, _)| one.id() == provider.id());
    Ok(its.flat_map(|(one, models)| models.iter().map(|model| known.shown(one, model))).collect())
}

/// `GET /llm-models`
async fn list(state: Data<ApiState>, caller: Caller, query: Query) -> Result<HttpResponse, Error> {
    let known = known(&state, caller.owner()).await?;
    let (favorites, stale) = (query.flag("favorites_only")?, query.flag("include_stale")?);
    let source = match query.text("source") {
        None => None,
        Some("manual") => Some(Origin::Manual),
        Some("discovered") => Some(Origin::Discovered),
        Some("predefined") => Some(Origin::Predefined),
        Some(_) => return Err(Error::bad_request("source must be manual, discovered or predefined")),
    };
    let fits = |model: &&SavedModel| {
        (!favorites || model.is_favorite)
            && (stale || !model.disabled)
            && source.is_none_or(|source| source == model.source)
    };
    let mut shown = Vec::new();
    for (provider, models) in &known.models {
        shown.extend(models.iter().filter(fits).map(|model| known.shown(provider, model)));
    }
    Ok(page::list(shown))
}

/// `GET /llm-models/{model_id}`
async fn read(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let known = known(&state, caller.owner()).await?;
    let (provider, model) = known.find(&request)?;
    Ok(HttpResponse::Ok().json(known.shown(provider, model)))
}

/// `PATCH /llm-models/{model_id}`
async fn change(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Body(form): Body<ModelForm>,
) -> Result<HttpResponse, Error> {
    let before = known(&state, caller.owner()).await?;
    let (_, model) = before.find(&request)?;
    let mut after = form.applied(model.clone())?;
    after.updated = state.runtime.now();
    let mut changes = Changes::default().put(&after);
    let is_default = before.default.as_ref() == Some(&after.name);
    match form.is_default {
        Some(true) if after.disabled => {
            return Err(Error::bad_request("A disabled model cannot be the default"));
        }
        Some(true) => changes = changes.put(&DefaultModel { model: after.name.clone() }),
        Some(false) if is_default => changes = changes.delete::<DefaultModel>(THE_DEFAULT),
        Some(false) | None => {}
    }
    state.runtime.documents(caller.owner()).write(changes).await?;
    state.runtime.refresh(caller.owner());
    let known = known(&state, caller.owner()).await?;
    let (provider, model) = known.find(&request)?;
    Ok(HttpResponse::Ok().json(known.shown(provider, model)))
}

/// `DELETE /llm-models/{model_id}`
async fn remove(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let known = known(&state, caller.owner()).await?;
    let (_, model) = known.find(&request)?;
    let documents = state.runtime.documents(caller.owner());
    if documents.get::<SavedModel>(&model.id.to_string()).await?.is_none() {
        return Err(Error::conflict(
            "The configuration or an agent names the model; it can only be disabled",
        ));
    }
    let mut changes = Changes::default().delete::<SavedModel>(&model.id.to_string());
    if known.default.as_ref() == Some(&model.name) {
        changes = changes.delete::<DefaultModel>(THE_DEFAULT);
    }
    documents.write(changes).await?;
    state.runtime.refresh(caller.owner());
    Ok(HttpResponse::NoContent().finish())
}
