// The viewer's component: small, as it is sent again at every rerun. The code proper comes once, with the mesh (store.js).
export default (component) => {
  const place = component.parentElement;
  if (window.saebrain) return window.saebrain.mount(component);
  const waiting = (window.saebrainWaiting ??= new Map());
  waiting.set(place, component);
  // Sent, but lost on the way: ask again.
  const path = location.pathname;
  const ask = () => location.pathname === path && component.setTriggerValue("report", { need: [], mesh: true, have: [], at: Date.now() });
  setTimeout(() => waiting.get(place) === component && ask(), 4000);
  return () => {
    if (!place.isConnected) waiting.delete(place);
    window.saebrain?.left(place);
  };
};
