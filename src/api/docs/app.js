// Renders /openapi.json: everything is set as text, nothing as markup.

const METHODS = ["get", "post", "patch", "put", "delete"];

const node = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
};

const resolve = (schema, all) => (schema?.$ref ? all[schema.$ref.split("/").pop()] : schema);

const typeOf = (schema) => {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.map((word) => JSON.stringify(word)).join(" | ");
  const either = schema.oneOf ?? schema.anyOf;
  if (either) return either.map(typeOf).join(" | ");
  if (schema.type === "array") return `list of ${typeOf(schema.items) || "anything"}`;
  return [schema.type ?? "anything"].flat().join(" or ");
};

const table = (rows) =>
  node("table", {}, ...rows.map((cells) =>
    node("tr", {}, ...cells.map((cell) => node("td", {}, cell ?? "")))));

const section = (title, ...content) => node("section", {}, node("h4", {}, title), ...content);

const fields = (schema, all) => {
  const whole = resolve(schema, all);
  const required = new Set(whole?.required ?? []);
  return Object.entries(whole?.properties ?? {}).map(([name, field]) =>
    [node("code", {}, name), typeOf(field) + (required.has(name) ? ", required" : ""), field.description]);
};

const example = (schema, all, depth = 0) => {
  const whole = resolve(schema, all);
  if (!whole || depth > 3) return null;
  const either = whole.oneOf ?? whole.anyOf;
  if (either) return example(either.find((one) => one.type !== "null"), all, depth);
  if (whole.enum) return whole.enum[0];
  const type = [whole.type].flat().find((one) => one !== "null");
  if (type === "array") return [example(whole.items, all, depth + 1)];
  if (type === "integer" || type === "number") return 1;
  if (type === "boolean") return true;
  if (type === "string") return "text";
  const properties = Object.entries(whole.properties ?? {});
  return Object.fromEntries(properties.map(([name, field]) => [name, example(field, all, depth + 1)]));
};

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

const curl = (method, path, operation, all) => {
  const parts = ["curl"];
  if (method !== "get") parts.push(`-X ${method.toUpperCase()}`);
  if (operation.security?.length) parts.push('-H "Authorization: Bearer $TOKEN"');
  const content = operation.requestBody?.content ?? {};
  const json = content["application/json"];
  const form = content["multipart/form-data"];
  if (json) {
    const body = JSON.stringify(example(json.schema, all));
    parts.push("-H 'Content-Type: application/json'", `-d ${quoted(body)}`);
  } else if (form) {
    for (const name of form.schema?.required ?? []) parts.push(`-F ${quoted(`${name}=text`)}`);
  }
  parts.push(quoted(location.origin + path));
  return parts.join(" \\\n  ");
};

const body = (operation, all) => {
  const contents = Object.entries(operation.requestBody?.content ?? {});
  if (contents.length === 0) return null;
  const kinds = contents.map(([kind]) => kind).join(" or ");
  return section(`Body: ${kinds}`, table(fields(contents[0][1].schema, all)));
};

const answers = (operation, all) => {
  const rows = Object.entries(operation.responses ?? {}).map(([status, answer]) => {
    const kinds = Object.entries(answer.content ?? {}).map(([kind, { schema }]) =>
      schema && typeOf(schema) !== "object" ? typeOf(schema) : kind);
    return [node("code", {}, status), answer.description, kinds.join(", ")];
  });
  return section("Answers", table(rows));
};

const card = ({ method, path, operation }, all) => {
  const taken = (operation.parameters ?? []).map(({ name, in: place, required, schema, description }) =>
    [node("code", {}, name), `${place}, ${typeOf(schema)}${required ? ", required" : ""}`, description]);
  return node("details", { id: operation.operationId },
    node("summary", {},
      node("span", { class: `method ${method}` }, method.toUpperCase()),
      node("code", {}, path), " ",
      node("span", { class: "about" }, operation.summary ?? "")),
    operation.description ? node("p", {}, operation.description) : null,
    taken.length ? section("Parameters", table(taken)) : null,
    body(operation, all),
    answers(operation, all),
    section("Try it", node("pre", {}, curl(method, path, operation, all))));
};

const show = (description, words) => {
  const all = description.components?.schemas ?? {};
  const groups = new Map();
  for (const [path, item] of Object.entries(description.paths)) {
    for (const method of METHODS.filter((name) => item[name])) {
      const operation = item[method];
      const text = [method, path, operation.operationId, operation.summary].join(" ").toLowerCase();
      if (!words.every((word) => text.includes(word))) continue;
      const tag = operation.tags?.[0] ?? "Other";
      groups.set(tag, [...(groups.get(tag) ?? []), { method, path, operation }]);
    }
  }
  const sections = [...groups].map(([tag, operations]) =>
    node("section", {}, node("h2", {}, tag), ...operations.map((operation) => card(operation, all))));
  document.getElementById("operations").replaceChildren(...sections);
};

const start = async () => {
  const answer = await fetch("/openapi.json");
  if (!answer.ok) throw new Error(`/openapi.json: ${answer.status}`);
  const description = await answer.json();
  const { title, version, description: about } = description.info;
  document.title = title;
  document.getElementById("title").textContent = `${title} ${version}`;
  document.getElementById("about").textContent = about ?? "";
  const find = document.getElementById("find");
  const refresh = () => show(description, find.value.toLowerCase().split(/\s+/));
  find.addEventListener("input", refresh);
  refresh();
  document.getElementById(location.hash.slice(1))?.setAttribute("open", "");
};

start().catch((error) => {
  document.getElementById("operations").textContent = `The description could not be read: ${error.message}`;
});
