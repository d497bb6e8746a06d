// Renders the description of one surface. Everything is set as text, nothing as markup; nothing is sent but the one request.

// Addresses are relative to the page, so that it works behind a prefix too.
const SURFACES = {
  AgentOS: "openapi.json",
  Everruns: "api-doc/openapi.json",
  Triage: "v1/triage/openapi.json",
};

const METHODS = ["get", "post", "patch", "put", "delete"];

const node = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
};

const nameOf = (schema) => schema.$ref.split("/").pop();

const resolve = (schema, all) => (schema?.$ref ? all[nameOf(schema)] : schema);

const typeOf = (schema) => {
  if (!schema) return "";
  if (schema.$ref) return nameOf(schema);
  if (schema.enum) return schema.enum.map((word) => JSON.stringify(word)).join(" | ");
  const either = schema.oneOf ?? schema.anyOf;
  if (either) return either.map(typeOf).join(" | ");
  const types = [schema.type ?? "anything"].flat();
  return types.map((type) => (type === "array" ? `list of ${typeOf(schema.items) || "anything"}` : type)).join(" or ");
};

// Examples

const values = new Map();

// Texts that work where any text would be refused, or would be odd.
const WORDS = { session_name: "My session", session_types: "agent", message: "Hello" };

const sample = (schema, all, depth = 0, word = "text") => {
  const whole = resolve(schema, all);
  if (!whole || depth > 3) return null;
  const either = whole.oneOf ?? whole.anyOf;
  if (either) return sample(either.find((one) => one.type !== "null"), all, depth, word);
  if (whole.enum) return whole.enum[0];
  const type = [whole.type].flat().find((one) => one !== "null");
  if (type === "array") return [sample(whole.items, all, depth + 1, word)];
  if (type === "integer" || type === "number") return 1;
  if (type === "boolean") return true;
  if (type === "string") return word;
  const properties = whole.properties ?? {};
  const required = whole.required ?? [];
  // Where nothing must be there, what a person would most likely set.
  const names = required.length ? required : ["session_name"].filter((name) => name in properties);
  return Object.fromEntries(names.map((name) => [name, sample(properties[name], all, depth + 1, WORDS[name])]));
};

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

// In double quotes: variables of the shell count, nothing else does.
const filled = (text) => text.replace(/\{(\w+)\}/g, (_, name) => {
  const value = values.get(name);
  return value ? encodeURIComponent(value) : `$${name.toUpperCase()}`;
});

const curl = ({ method, path, operation }, all) => {
  const content = operation.requestBody?.content ?? {};
  const answers = Object.values(operation.responses ?? {}).flatMap((answer) => Object.keys(answer.content ?? {}));
  const streams = answers.includes("text/event-stream");
  const json = content["application/json"];
  const form = content["application/x-www-form-urlencoded"];
  const fields = form?.schema?.required ?? [];
  const query = (operation.parameters ?? []).filter((one) => one.in === "query");
  const must = query.filter((one) => one.required || (method === "get" && one.name === "session_id"));
  const address = path + (must.length ? "?" + must.map(({ name }) => `${name}={${name}}`).join("&") : "");
  const parts = [streams ? "curl -N" : "curl"];
  if (method !== "get") parts[0] += ` -X ${method.toUpperCase()}`;
  parts[0] += ` "${new URL(`.${filled(address)}`, document.baseURI).href}"`;
  if (operation.security?.length) {
    const token = values.get("token");
    parts.push(token ? `-H ${quoted(`Authorization: Bearer ${token}`)}` : '-H "Authorization: Bearer $TOKEN"');
  }
  if (json) {
    parts.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(sample(json.schema, all)))}`);
  }
  for (const name of fields) parts.push(`-d ${quoted(`${name}=${WORDS[name] ?? "text"}`)}`);
  return parts.join(" \\\n  ");
};

const example = (entry, all) => {
  const text = node("pre", { tabindex: "0" }, curl(entry, all));
  const refresh = () => { text.textContent = curl(entry, all); };
  const copy = node("button", { type: "button" }, "Copy");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(text);
      copy.textContent = "Selected";
    }
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  });
  document.getElementById("fill").addEventListener("input", refresh);
  return section("Try it", node("div", { class: "example" }, text, copy));
};

// Parts of an operation

const section = (title, ...content) => node("section", {}, node("h3", {}, title), ...content);

const table = (rows, kind = "fields") =>
  node("table", { class: kind }, node("tbody", {}, ...rows.map((cells) =>
    node("tr", {}, ...cells.map((cell) => node("td", {}, cell ?? ""))))));

const typed = (type, required) => {
  const cell = node("span", {}, type);
  if (required) cell.append(", ", node("span", { class: "must" }, "required"));
  return cell;
};

const fields = (schema, all) => {
  const whole = resolve(schema, all);
  const required = new Set(whole?.required ?? []);
  const first = ([one], [other]) => required.has(other) - required.has(one);
  return Object.entries(whole?.properties ?? {}).sort(first).map(([name, field]) =>
    [node("code", {}, name), typed(typeOf(field), required.has(name)), field.description]);
};

const parameters = (operation) => {
  const rows = (operation.parameters ?? []).map(({ name, in: place, required, schema, description }) =>
    [node("code", {}, name), typed(`${typeOf(schema)}, in the ${place}`, required), description]);
  return rows.length ? section("Parameters", table(rows)) : null;
};

const body = (operation, all) => {
  const contents = Object.entries(operation.requestBody?.content ?? {});
  if (contents.length === 0) return null;
  const kinds = contents.map(([kind]) => kind).join(" or ");
  return section("Body", node("code", {}, kinds), table(fields(contents[0][1].schema, all)));
};

// What an answer holds is shown when asked for: schemas name each other, some name themselves.
const shape = (schema, all) => {
  const either = resolve(schema, all)?.oneOf;
  if (either) return node("div", {}, ...either.map((one) => shape(one, all)));
  const inner = schema?.type === "array" ? schema.items : schema;
  const rows = () => fields(inner, all);
  if (!inner?.$ref || rows().length === 0) return node("span", {}, typeOf(schema));
  const made = node("details", { class: "schema" }, node("summary", {}, typeOf(schema)));
  made.addEventListener("toggle", () => made.append(table(rows())), { once: true });
  return made;
};

const answers = (operation, all) => {
  const rows = Object.entries(operation.responses ?? {}).map(([status, answer]) => {
    const failed = status >= "400";
    const kinds = Object.entries(answer.content ?? {}).map(([kind, { schema }]) =>
      schema && !failed ? shape(schema, all) : node("span", {}, failed ? "" : kind));
    const about = node("div", {}, answer.description, ...kinds.map((kind) => node("div", {}, kind)));
    return [node("code", {}, status), about];
  });
  return section("Answers", table(rows, "answers"));
};

const contents = (entry, all) =>
  node("div", {},
    entry.operation.description ? node("p", {}, entry.operation.description) : null,
    example(entry, all),
    parameters(entry.operation),
    body(entry.operation, all),
    answers(entry.operation, all));

const card = (entry, all) => {
  const { method, path, operation } = entry;
  const made = node("details", { class: "operation", id: operation.operationId },
    node("summary", {},
      node("span", { class: `method ${method}` }, method.toUpperCase()),
      node("code", { class: "path" }, path),
      node("span", { class: "about" }, operation.summary ?? "")));
  made.addEventListener("toggle", () => made.append(contents(entry, all)), { once: true });
  made.addEventListener("toggle", () => {
    if (made.open) history.replaceState(null, "", `#${operation.operationId}`);
  });
  return made;
};

// The page

const entries = (description) =>
  Object.entries(description.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => ({ method, path, operation: item[method] })));

const show = (description, words) => {
  const all = description.components?.schemas ?? {};
  const groups = new Map();
  for (const entry of entries(description)) {
    const { method, path, operation } = entry;
    const text = [method, path, operation.operationId, operation.summary].join(" ").toLowerCase();
    if (!words.every((word) => text.includes(word))) continue;
    const tag = operation.tags?.[0] ?? "Other";
    groups.set(tag, [...(groups.get(tag) ?? []), entry]);
  }
  const sections = [...groups].map(([tag, operations]) =>
    node("section", {}, node("h2", { id: `group-${tag}` }, tag), ...operations.map((entry) => card(entry, all))));
  const links = [...groups].map(([tag, operations]) =>
    node("a", { href: `#group-${tag}` }, tag, node("small", {}, String(operations.length))));
  const none = node("p", {}, "Nothing has these words.");
  document.getElementById("operations").replaceChildren(...(sections.length ? sections : [none]));
  document.getElementById("groups").replaceChildren(...links);
};

const askForValues = (description) => {
  const places = entries(description).flatMap(({ path }) => [...path.matchAll(/\{(\w+)\}/g)].map((found) => found[1]));
  for (const name of new Set(["token", ...places])) {
    const attributes = { autocomplete: "off", spellcheck: "false", placeholder: `$${name.toUpperCase()}` };
    const input = node("input", attributes);
    input.addEventListener("input", () => values.set(name, input.value.trim()));
    document.getElementById("fill").append(node("label", {}, name, input));
  }
};

const openNamed = () => {
  const named = document.getElementById(location.hash.slice(1));
  if (named?.matches("details.operation")) named.open = true;
  named?.scrollIntoView();
};

const chosen = () => {
  const named = new URLSearchParams(location.search).get("surface");
  return Object.keys(SURFACES).find((name) => name.toLowerCase() === named) ?? Object.keys(SURFACES)[0];
};

const offerSurfaces = (current) => {
  const links = Object.keys(SURFACES).map((name) =>
    node("a", { href: `?surface=${name.toLowerCase()}`, ...(name === current && { "aria-current": "page" }) }, name));
  document.getElementById("surfaces").replaceChildren(...links);
  document.getElementById("source").setAttribute("href", SURFACES[current]);
};

const start = async () => {
  const surface = chosen();
  offerSurfaces(surface);
  const answer = await fetch(SURFACES[surface]);
  if (!answer.ok) throw new Error(`${SURFACES[surface]}: ${answer.status}`);
  const description = await answer.json();
  const { title, version, description: about } = description.info;
  document.title = `${title} API`;
  document.getElementById("title").replaceChildren(title, " ", node("small", {}, version));
  document.getElementById("about").textContent = about ? `${about.replace(/\.$/, "")}.` : "";
  askForValues(description);
  const find = document.getElementById("find");
  const refresh = () => show(description, find.value.toLowerCase().split(/\s+/));
  find.addEventListener("input", refresh);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target instanceof HTMLInputElement) return;
    event.preventDefault();
    find.focus();
  });
  addEventListener("hashchange", openNamed);
  refresh();
  openNamed();
};

start().catch((error) => {
  document.getElementById("operations").textContent = `The description could not be read: ${error.message}`;
});
