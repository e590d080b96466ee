/**
 * Steps through prepared views by the arrow keys; the page keys are shortcuts of the buttons.
 *
 * @import { ComponentArguments } from "../components/js/mount.js"
 *
 * @typedef {{ stepByKey: (event: KeyboardEvent) => void }} Kept
 */

/** @type {Record<string, number>} */
const STEPS = { ArrowRight: 1, ArrowLeft: -1 };
// Arrows have a use of their own in these.
const WITH_ARROWS =
  "input, textarea, select, [contenteditable=true], [role=slider], [role=toolbar], [role=grid], " +
  "[role=tablist]";

/** @param {ComponentArguments<{ place: number, count: number }, Kept>} component */
export default function stepViews({ parentElement, data, setTriggerValue }) {
  if (parentElement.stepByKey) document.removeEventListener("keydown", parentElement.stepByKey);
  let place = data.place;

  /** @param {KeyboardEvent} event */
  function step(event) {
    const by = STEPS[event.key];
    if (!by || event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
    const target = event.composedPath()[0];
    if (target instanceof Element && target.closest(WITH_ARROWS)) return;
    event.preventDefault();
    const next = Math.min(Math.max(place + by, 0), data.count - 1);
    if (next === place) return;
    // The view's number (0 would count as nothing) and not the step: of two quick presses the
    // server may see only the last.
    place = next;
    setTriggerValue("number", place + 1);
  }

  parentElement.stepByKey = step;
  document.addEventListener("keydown", step);
  return () => document.removeEventListener("keydown", step);
}
