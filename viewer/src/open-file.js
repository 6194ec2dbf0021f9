// Another trace: by the button, or dropped onto the page.

import { byId } from "./dom.js";

// Call opened(text, name) with what the reader hands over, failed(sentence) when it cannot be read.
export function listenToFiles(opened, failed) {
  const picker = byId("file");
  byId("open").addEventListener("click", () => picker.click());
  const read = async (file) => {
    try {
      opened(await file.text(), file.name);
    } catch (error) {
      failed(`The file ${file.name} could not be read: ${error.message}`);
    }
  };
  picker.addEventListener("change", () => {
    if (picker.files.length > 0) read(picker.files[0]);
    picker.value = "";
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) document.body.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    const [file] = event.dataTransfer.files;
    if (file !== undefined) read(file);
  });
}
