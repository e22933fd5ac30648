"use strict";
(() => {
  const NARROW = 560;
  const PAPER = 690; // pixels of a printed page between its margins
  const SETTINGS = {
    responsive: true,
    displaylogo: false,
    scrollZoom: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  };
  const root = document.documentElement;
  const figures = [...document.querySelectorAll("figure.drawing")];

  async function unpacked(packed) {
    const bytes = Uint8Array.from(atob(packed.trim()), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  function heightOf(content, width) {
    return width < NARROW ? content.tall : content.height;
  }

  // So that two figures fit on a page; those with a line for each name keep their height.
  function heightOnPaper(content) {
    return content.height <= 440 ? 0.8 * content.height : content.height;
  }

  async function draw(figure) {
    const place = figure.querySelector(".plot");
    const content = JSON.parse(figure.querySelector("script").textContent);
    const height = heightOf(content, place.clientWidth);
    place.style.height = `${height}px`;
    figure.content = content;
    await Plotly.newPlot(place, content.data, { ...content.layout, height }, SETTINGS);
  }

  async function drawAll() {
    if (typeof DecompressionStream === "undefined") {
      document.getElementById("failed").hidden = false;
      root.dataset.drawn = "0";
      return;
    }
    const script = document.createElement("script");
    script.textContent = await unpacked(document.getElementById("library").textContent);
    document.head.append(script);
    for (const figure of figures) {
      await draw(figure);
      // Let the page answer between two figures.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    root.dataset.drawn = String(figures.length);
  }

  // A printed page is narrower than a screen, and figures keep the width they were drawn at.
  function fit(width) {
    for (const figure of figures) {
      if (!figure.content) continue;
      const place = figure.querySelector(".plot");
      const own = place.clientWidth;
      const onScreen = width === null;
      const height = onScreen ? heightOf(figure.content, own) : heightOnPaper(figure.content);
      const size = { width, height, autosize: onScreen };
      place.style.height = `${height}px`;
      Plotly.relayout(place, size);
    }
  }
  // What is folded on a screen is there on paper.
  function unfold(printing) {
    for (const part of document.querySelectorAll(printing ? "details:not([open])" : ".unfolded")) {
      part.open = printing;
      part.classList.toggle("unfolded", printing);
    }
  }
  addEventListener("beforeprint", () => { unfold(true); fit(PAPER); });
  addEventListener("afterprint", () => { unfold(false); fit(null); });
  drawAll();
})();
