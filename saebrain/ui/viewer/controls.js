// What stands around the picture, brought up to date: controls, the legend.

/** Set every control to what is shown. */
function setControls(viewer, look, shown) {
  const set = (name, value) => {
    const control = viewer.find(`[data-look=${name}]`);
    if (!control) return; // `least` shares the threshold's
    if (control.type === "checkbox") control.checked = value;
    else if (viewer.root.getRootNode().activeElement !== control || control.type !== "number") control.value = control.type === "number" ? Number(value.toPrecision(4)) : value;
  };
  const options = (name, values) => {
    const select = viewer.find(`[data-look=${name}]`);
    if (select.dataset.made !== values.join()) select.replaceChildren(...values.map((value) => new Option(value, value)));
    select.dataset.made = values.join();
  };
  options("surface", SURFACES.filter((name) => shown.mesh.surfaces[name]));
  options("colours", shown.mesh.palettes.filter(({ sides }) => sides === shown.sides).map(({ name }) => name));
  const slider = viewer.find("[data-look=threshold]");
  slider.max = viewer.map.index ? 0.5 : roundUp(shown.reach);
  slider.step = 10 ** Math.floor(Math.log10(slider.max / 20));
  for (const [name, value] of Object.entries({ ...look, surface: shown.surface, blend: shown.blend, range: shown.reach, sides: shown.sides, threshold: shown.threshold, colours: shown.mesh.palettes[shown.row].name, compare: viewer.reference ? look.compare : "" })) set(name, value);
  viewer.find(".values output").textContent = number(shown.threshold, slider.step < 0.01 ? 3 : 2);
  viewer.find(".inflation").hidden = shown.from === shown.to;
  viewer.root.querySelectorAll(".plain").forEach((label) => (label.hidden = Boolean(viewer.map.index)));
  const at = viewer.place();
  viewer.find("[data-act=previous]").disabled = at <= 0 && viewer.header.first;
  viewer.find("[data-act=next]").disabled = at >= viewer.header.around.length - 1 && viewer.header.last;
  viewer.find(".flip").hidden = viewer.header.around.length < 2;
}

/** The colour bar, or the names of the categories, and what grey means. */
function setLegend(viewer, shown) {
  const { map, mesh } = viewer, legend = viewer.find(".legend");
  if (map.index) {
    legend.replaceChildren(...map.names.map((name, i) => swatch(name, categoryColour(map, i))), swatch(map.none.replace("{}", number(shown.threshold)), FOLDS));
  } else {
    const palette = Array.from(mesh.colours.slice(shown.row * 768, (shown.row + 1) * 768));
    const beyond = shown.comparing === "minus" ? {} : { low: map.least < shown.range[0], high: map.greatest > shown.range[1] };
    legend.replaceChildren(colourBar(palette, shown.range, shown.threshold, labelOf(map, shown), beyond));
    const tested = map.floor > 0 && shown.threshold <= map.floor;
    if (shown.threshold > 0) legend.append(swatch(tested ? "not significant" : `below ${number(shown.threshold)}`, FOLDS));
  }
  if (map.masked) legend.append(swatch("not measured", MASK));
}

function labelOf(map, shown) {
  return shown.comparing === "minus" ? `${map.label}: ${map.name} − ${shown.maps[1].name}` : map.label;
}

function categoryColour(map, i) {
  return Array.from(map.palette.slice(3 * i, 3 * i + 3), (channel) => Math.round(channel * 255));
}
