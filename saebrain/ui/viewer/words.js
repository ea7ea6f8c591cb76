// Numbers, ticks and summaries in words.

/** A number with a true minus sign. */
function number(value, digits = 2, sign = false) {
  const text = Math.abs(value).toFixed(digits);
  return (value < 0 && Number(text) !== 0 ? "−" : sign ? "+" : "") + text;
}

/** Evenly spaced round numbers between two ends, at most seven. */
function ticks(low, high, most = 7) {
  const unit = 10 ** Math.floor(Math.log10((high - low) / most));
  for (const factor of [1, 2, 5, 10, 20, 50]) {
    const step = unit * factor, first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
    if (last - first + 1 > most) continue;
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    return Array.from({ length: last - first + 1 }, (_, i) => ({ at: (first + i) * step, text: number((first + i) * step, digits) }));
  }
  return [];
}

/** Next number upwards of 1, 1.5, 2, 3, 4, 5, 6 or 8 times a power of ten. */
function roundUp(value) {
  if (!(value > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return unit * ([1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((step) => step * unit >= value * (1 - 1e-9)) ?? 10);
}

function valueOf(map, vertex) {
  const byte = map.bytes[vertex];
  return byte === 0 ? null : map.span[0] + ((byte - 1) / 254) * (map.span[1] - map.span[0]);
}

/** Mean of every parcel that has values: [parcel, mean]. */
function parcelMeans(mesh, value) {
  const total = new Float64Array(mesh.parcels.length), known = new Float64Array(mesh.parcels.length);
  for (let v = 0; v < mesh.count; v += 1) {
    const parcel = mesh.labels[v], at = parcel < 0 ? null : value(v);
    if (at === null) continue;
    total[parcel] += at;
    known[parcel] += 1;
  }
  return Array.from(total, (sum, parcel) => [parcel, sum / known[parcel]]).filter(([, mean]) => Number.isFinite(mean));
}

/** What a map shows, in one sentence: for those who do not see it. */
function summary(mesh, map, value, threshold) {
  if (map.index) {
    const won = new Array(map.names.length).fill(0);
    for (let v = 0; v < mesh.count; v += 1) {
      if (map.index[v] < won.length && (valueOf(map, v) ?? -Infinity) >= threshold) won[map.index[v]] += 1;
    }
    return `Vertices won: ${map.names.map((name, i) => `${name} ${won[i].toLocaleString("en")}`).join(", ")}.`;
  }
  const means = parcelMeans(mesh, value).sort((p, q) => Math.abs(q[1]) - Math.abs(p[1])).slice(0, 5);
  if (!means.length) return "Nothing was measured.";
  return `Parcels furthest from 0, mean: ${means.map(([parcel, mean]) => `${mesh.parcels[parcel].join(" ")} ${number(mean, 2, true)}`).join(", ")}.`;
}
