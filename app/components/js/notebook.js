/**
 * The notebook's side of a component: what Streamlit hands over, from a model of anywidget's.
 *
 * @import { ComponentArguments, Living } from "./mount.js"
 *
 * @typedef {object} WidgetModel What Python and the browser share.
 * @property {(name: string) => any} get
 * @property {(name: string, value: unknown) => void} set
 * @property {() => void} save_changes
 * @property {(event: string, listener: () => void) => void} on
 * @property {(event: string, listener: () => void) => void} off
 */
import { el } from "./elements.js";

/**
 * The widget of a component. Its `payload` is what Python sent, and its `styles` are those of the
 * component, which stay in a shadow so that a notebook's own do not reach it.
 *
 * @param {(component: ComponentArguments<Uint8Array>) => Living} make
 */
export function inNotebook(make) {
  return {
    /** @param {{ model: WidgetModel, el: HTMLElement }} widget */
    render({ model, el: place }) {
      const root = place.shadowRoot ?? place.attachShadow({ mode: "open" });
      root.replaceChildren(el("style", {}, model.get("styles")));
      const component = () => ({
        parentElement: root,
        data: bytesOf(model.get("payload")),
        /** @type {(name: string, value: unknown) => void} */
        setStateValue(name, value) {
          model.set(name, value);
          model.save_changes();
        },
        setTriggerValue() {},
      });
      // A saved notebook has a picture for where nothing runs: here it would show everything twice.
      const hidden = el("style", {}, `.${model.get("still")}{display:none!important}`);
      /** @type {Living | undefined} */
      let living;
      const update = () => living?.update(component());
      // A notebook makes an output before it puts it on the page, where it has no width yet.
      const waiting = new ResizeObserver(() => {
        if (living || !place.clientWidth) return;
        waiting.disconnect();
        living = make(component());
        document.head.append(hidden);
      });
      waiting.observe(place);
      model.on("change:payload", update);
      return () => {
        waiting.disconnect();
        model.off("change:payload", update);
        living?.destroy();
        hidden.remove();
      };
    },
  };
}

/**
 * Bytes as a notebook's front end holds them.
 *
 * @param {DataView | ArrayBuffer | Uint8Array} sent
 * @returns {Uint8Array}
 */
function bytesOf(sent) {
  if (sent instanceof ArrayBuffer) return new Uint8Array(sent);
  return new Uint8Array(sent.buffer, sent.byteOffset, sent.byteLength);
}
