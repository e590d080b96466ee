/** How the scripts are linted: pure modules see no page, and no module turns text into HTML. */
import js from "@eslint/js";
import globals from "globals";

/** Modules that touch the page; every other one under app/ runs in node as it does in a browser. */
const PAGE = [
  "app/components/*/js/page/*.js",
  "app/components/js/elements.js",
  "app/components/js/notebook.js",
  "app/components/js/pointing.js",
  "app/shell/*.js",
  "app/frame/*.js",
];
const HTML =
  "/^(innerHTML|outerHTML|insertAdjacentHTML|setHTML|setHTMLUnsafe|parseFromString|srcdoc" +
  "|createContextualFragment)$/";
const NO_HTML = "Text never becomes HTML.";

export default [
  { ignores: [".venv/", "build/", "node_modules/"] },
  js.configs.recommended,
  {
    rules: {
      "no-unused-vars": "error",
      "no-var": "error",
      "prefer-const": "error",
      eqeqeq: "error",
      "no-shadow": "error",
      "no-param-reassign": "error",
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-restricted-syntax": [
        "error",
        { selector: `MemberExpression[property.name=${HTML}]`, message: NO_HTML },
        {
          selector: "MemberExpression[object.name=document][property.name=/^write/]",
          message: NO_HTML,
        },
        {
          selector: "ImportExpression, MetaProperty",
          message: "Modules are joined into one file, which has no address of its own.",
        },
      ],
    },
  },
  // What no page is needed for, in browsers and in node.
  { files: ["app/**/*.js"], languageOptions: { globals: { TextDecoder: "readonly" } } },
  { files: PAGE, languageOptions: { globals: globals.browser } },
  { files: ["tests/js/**/*.js"], languageOptions: { globals: globals.node } },
];
