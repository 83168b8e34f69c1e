import { createApp } from "vue";
import "@bindery/react/element";
import "@bindery/react/styles.css";
import App from "./App.vue";

createApp(App).mount("#root");
