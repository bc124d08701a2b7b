
"use strict";
(() => {
  const data = document.getElementById("data");
  if (!data) return;
  const { seconds, steps, stretches } = JSON.parse(data.textContent);
  const film = document.getElementById("film");
  const place = document.getElementById("place");
  const head = document.getElementById("head");
  const now = document.getElementById("now");
  const rows = [...document.querySelectorAll("#stretches tbody tr")];
  const bars = [...document.querySelectorAll("rect[data-stretch]")];
  const boxes = [...document.querySelectorAll("input[name=outcome]")];
  const rule = document.getElementById("rule");
  const shown = document.getElementById("shown");

  const clock = (at) => {
    const tenths = Math.floor(at * 10 + 1e-6);
    const minutes = Math.floor(tenths / 600) % 60;
    const hours = Math.floor(tenths / 36000);
    const rest = `${String(Math.floor(tenths / 10) % 60).padStart(2, "0")}.${tenths % 10}`;
    return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
  };

  const stepAt = (at) => {
    let low = 0;
    let high = steps.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (steps[middle][0] <= at + 1e-3) low = middle;
      else high = middle - 1;
    }
    return steps[low];
  };

  const show = (at) => {
    const [, faces, stretch] = stepAt(at);
    const seen = faces === null ? "faces unknown" : faces === 1 ? "1 face" : `${faces} faces`;
    const said = `${clock(at)}, ${seen}, ${stretches[stretch]}`;
    now.textContent = said;
    place.setAttribute("aria-valuetext", said);
    head.style.left = `${(100 * Math.min(at, seconds)) / seconds}%`;
  };

  const seek = (at) => {
    if (film) film.currentTime = Math.min(at, Math.max(0, seconds - 1e-3));
    place.value = at;
    show(at);
  };

  place.addEventListener("input", () => seek(Number(place.value)));
  place.addEventListener("keydown", (event) => {
    if (event.key !== " " || !film) return;
    event.preventDefault();
    if (film.paused) film.play();
    else film.pause();
  });
  for (const button of document.querySelectorAll("button[data-seek]")) {
    button.addEventListener("click", () => seek(Number(button.dataset.seek)));
  }
  if (film) {
    const follow = () => {
      place.value = film.currentTime;
      show(film.currentTime);
    };
    film.addEventListener("timeupdate", follow);
    film.addEventListener("seeked", follow);
  }

  const filter = () => {
    const wanted = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const number = rule ? rule.value : "";
    let left = 0;
    rows.forEach((row, at) => {
      const kept = wanted.has(row.dataset.outcome) && (!number || row.dataset.rules.split(" ").includes(number));
      row.hidden = !kept;
      if (bars[at]) bars[at].classList.toggle("off", !kept);
      left += kept;
    });
    shown.textContent = `${left} of ${rows.length} shown`;
  };
  for (const control of [...boxes, rule]) if (control) control.addEventListener("change", filter);

  show(0);
})();
