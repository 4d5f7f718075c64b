// SPDX-License-Identifier: GPL-3.0-or-later
// Two bars: how loud the microphone is, and what comes.
const FLOOR_DB = -60;

// Draws until the function that it returns is called.
export function meter(canvas, microphone, remote) {
  const context = new AudioContext();
  const sides = [[microphone, "--caller"], [remote, "--ours"]].filter(([stream]) => stream).map(([stream, colour]) => {
    const analyser = context.createAnalyser();
    analyser.fftSize = 1024;
    context.createMediaStreamSource(stream).connect(analyser);
    return {analyser, colour, samples: new Float32Array(analyser.fftSize), level: 0};
  });
  const pen = canvas.getContext("2d");
  let frame = 0;

  function draw() {
    const width = canvas.width = canvas.clientWidth * devicePixelRatio;
    const height = canvas.height = canvas.clientHeight * devicePixelRatio;
    const style = getComputedStyle(canvas);
    sides.forEach((side, index) => {
      side.analyser.getFloatTimeDomainData(side.samples);
      let sum = 0;
      for (const sample of side.samples) sum += sample * sample;
      const db = 10 * Math.log10(sum / side.samples.length + 1e-12);
      const level = Math.min(1, Math.max(0, 1 - db / FLOOR_DB));
      side.level = Math.max(level, side.level * .9);
      canvas.style.setProperty("color", `var(${side.colour})`); // a canvas knows no light-dark(), its style does
      pen.fillStyle = style.color;
      const bar = height / sides.length;
      pen.fillRect(0, index * bar + bar * .2, side.level * width, bar * .6);
    });
    frame = requestAnimationFrame(draw);
  }

  draw();
  return () => { cancelAnimationFrame(frame); context.close(); };
}
