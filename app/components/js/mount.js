/**
 * Streamlit's side of a component that lives on between runs of the script.
 *
 * @typedef {object} Living
 * @property {(component: ComponentArguments<Uint8Array>) => void} update Called at later runs.
 * @property {() => void} destroy Called when the element leaves the page.
 */

/**
 * What Streamlit hands over at every run of the script.
 *
 * @template Data What Python sent.
 * @template {object} [Kept={}] What a script keeps on the element from run to run.
 * @typedef {object} ComponentArguments
 * @property {(HTMLElement | ShadowRoot) & Partial<Kept>} parentElement The same while it stays.
 * @property {Data} data
 * @property {(name: string, value: unknown) => void} setStateValue Python reads it from then on.
 * @property {(name: string, value: unknown) => void} setTriggerValue Python reads it once.
 */

/**
 * The function that Streamlit calls: makes what lives in an element once, then updates it.
 *
 * @param {(component: ComponentArguments<Uint8Array>) => Living} make
 * @returns {(component: ComponentArguments<Uint8Array>) => () => void}
 */
export function mounted(make) {
  /** @type {WeakMap<Node, Living>} */
  const living = new WeakMap();
  return (component) => {
    const { parentElement } = component;
    const known = living.get(parentElement);
    if (known) known.update(component);
    else living.set(parentElement, make(component));
    return () => {
      living.get(parentElement)?.destroy();
      living.delete(parentElement);
    };
  };
}
