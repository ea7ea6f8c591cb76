// What the components of a page call.

const mounted = new WeakMap();

function takeMesh(bytes) {
  const mesh = new Mesh(bytes);
  if (!shared.meshes.has(mesh.id)) shared.meshes.set(mesh.id, mesh);
  shared.viewers.forEach((viewer) => viewer.show());
}

/** Show a component's data in its place; returns what to do when it goes. */
function mount(component) {
  const place = component.parentElement;
  if (!mounted.has(place)) mounted.set(place, new Viewer(place));
  mounted.get(place).update(component);
  return () => left(place);
}

/** A component may have gone: Streamlit also says so of data that it has skipped. */
function left(place) {
  setTimeout(() => {
    if (place.isConnected) return;
    mounted.get(place)?.stop();
    mounted.delete(place);
  }, 0);
}

// Which page a link of this dashboard leads to, its address does not always say.
const inside = (each) => each.tagName === "A" && each.target !== "_blank" && !each.download;
document.addEventListener("click", (event) => event.composedPath().some(inside) && shared.viewers.forEach(({ talk }) => talk.leave()), { capture: true });

window.saebrain = { mount, left, takeMesh, shared };
for (const component of window.saebrainWaiting?.values() ?? []) mount(component);
window.saebrainWaiting?.clear();
