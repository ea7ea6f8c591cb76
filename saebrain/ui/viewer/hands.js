// What is done with a viewer: pointer, keys, controls.

function wire(viewer) {
  viewer.root.addEventListener("input", ({ target }) => {
    const name = target.dataset.look;
    if (!name) return;
    const value = target.type === "checkbox" ? target.checked : target.type === "range" || target.type === "number" ? (target.value === "" ? null : Number(target.value)) : target.value;
    if (name === "compare" && value) viewer.reference ??= viewer.current;
    if (name === "range" && !(value > 0)) return;
    if (name === "threshold") viewer.change(thresholdTo(viewer, value));
    else viewer.change(name === "surface" ? { surface: value, blend: null } : { [name]: value });
  });
  viewer.root.addEventListener("click", ({ target }) => {
    const act = target.dataset.act;
    if (act === "previous" || act === "next") viewer.flip(act === "next" ? 1 : -1);
    if (act === "restart") {
      Object.assign(shared.camera, START);
      viewer.change({ blend: null, view: "four" });
    }
  });
}

function listen(viewer) {
  const events = new AbortController();
  const on = (type, handler, options = {}) => viewer.canvas.addEventListener(type, handler, { signal: events.signal, ...options });
  let drag = null;
  on("pointerdown", (event) => {
    viewer.find("details").open = false;
    drag = { x: event.clientX, y: event.clientY, moved: 0 };
    viewer.canvas.setPointerCapture(event.pointerId);
  });
  on("pointermove", (event) => {
    if (!drag) return hover(viewer, event);
    const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
    drag = { x: event.clientX, y: event.clientY, moved: drag.moved + Math.abs(dx) + Math.abs(dy) };
    if (viewer.shown?.free && !viewer.shown.flat && drag.moved > 3) {
      shared.camera.yaw -= dx * 0.01;
      shared.camera.pitch = Math.min(Math.max(shared.camera.pitch + dy * 0.01, -1.57), 1.57);
      viewer.moved();
    }
  });
  on("pointerup", (event) => {
    if (drag && drag.moved <= 3) pin(viewer, event);
    drag = null;
  });
  on("pointerleave", () => (viewer.find(".hint").hidden = true));
  on("wheel", (event) => {
    if (!viewer.shown?.free || viewer.shown.flat) return;
    event.preventDefault();
    shared.camera.zoom = Math.min(Math.max(shared.camera.zoom * Math.exp(-event.deltaY * 0.001), 0.5), 8);
    viewer.moved();
  }, { passive: false });
  on("keydown", (event) => {
    const act = keys(viewer)[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation(); // Streamlit has shortcuts of its own
    act();
  });
  return events;
}

function keys(viewer) {
  const step = Number(viewer.find("[data-look=threshold]").step);
  const next = (list, value) => list[(list.indexOf(value) + 1) % list.length];
  const threshold = (by) => viewer.change(thresholdTo(viewer, Math.max(0, Number((viewer.shown.threshold + by).toFixed(4)))));
  return {
    ArrowRight: () => viewer.flip(1),
    ArrowLeft: () => viewer.flip(-1),
    ArrowUp: () => threshold(step),
    ArrowDown: () => threshold(-step),
    v: () => viewer.change({ view: next(["four", "free"], viewer.look.view) }),
    s: () => viewer.change({ surface: next(SURFACES.filter((name) => viewer.mesh.surfaces[name]), viewer.look.surface), blend: null }),
    o: () => viewer.change({ outlines: !viewer.look.outlines }),
    n: () => viewer.change({ names: !viewer.look.names }),
    c: () => compare(viewer),
    Escape: () => unpin(viewer),
  };
}

/** A difference has a threshold of its own: it is on another scale. */
function thresholdTo(viewer, value) {
  return viewer.shown?.comparing === "minus" ? { least: value } : { threshold: value };
}

/** Compare what follows with the map shown now, or stop. */
function compare(viewer) {
  viewer.reference = viewer.look.compare ? null : viewer.current;
  viewer.change({ compare: viewer.reference ? "beside" : "" });
}

function hover(viewer, { offsetX, offsetY }) {
  viewer.pointed = { x: offsetX, y: offsetY }; // read at once: an event forgets its place when it has passed
  viewer.hovering ??= requestAnimationFrame(() => {
    viewer.hovering = null;
    const found = viewer.under(viewer.pointed), hint = viewer.find(".hint");
    hint.hidden = !found;
    if (!found) return;
    hint.textContent = describe(viewer, found.vertex, found.pane.map);
    const left = Math.min(viewer.pointed.x + 14, viewer.shown.width - hint.offsetWidth);
    [hint.style.left, hint.style.top] = [`${Math.max(0, left)}px`, `${viewer.pointed.y + 40}px`];
  });
}

function describe(viewer, vertex, which = 0) {
  const { mesh, maps } = viewer.shown, parcel = mesh.labels[vertex], hemisphere = mesh.hemisphere(vertex);
  const where = parcel >= 0 ? mesh.parcels[parcel].join(" ") : `${hemisphere}, no parcel`;
  const value = viewer.valueAt(vertex, viewer.shown, which), index = maps[0].index?.[vertex];
  const what = value === null ? "not measured" : `${maps[0].index ? `${maps[0].names[index] ?? "none"} ` : ""}${number(value, 3, true)}`;
  return `${where} · ${what} · vertex ${vertex - (hemisphere === "left" ? 0 : mesh.left)}`;
}

function pin(viewer, { offsetX, offsetY }) {
  const found = viewer.under({ x: offsetX, y: offsetY });
  if (!found) return;
  viewer.pinned = found.vertex;
  viewer.draw();
  viewer.talk.later("pick", () => ({ vertex: found.vertex }), 0);
}

function unpin(viewer) {
  if (viewer.pinned === null) return;
  viewer.pinned = null;
  viewer.draw();
  viewer.talk.later("pick", () => ({ vertex: null }), 0);
}
