// A button that saves a file. Pressed, it asks the kernel; the kernel answers with name, type and bytes.
function render({ model, el }) {
  const me = String(Math.random());              // a widget may be shown twice: only the button that asked saves
  const button = document.createElement("button");
  button.className = "jupyter-widgets jupyter-button widget-button";
  button.style.width = "auto";
  const write = () => {
    button.title = model.get("title");
    button.textContent = model.get("label");
  };
  const note = document.createElement("span");
  note.setAttribute("role", "alert");
  button.addEventListener("click", () => {
    note.textContent = "";
    model.send({ to: me });
  });
  const answer = (message, buffers) => {
    if (message.to !== me) return;
    if (message.error) { note.textContent = " " + message.error; return; }
    const b = buffers[0];
    const address = URL.createObjectURL(new Blob([b.buffer ? new Uint8Array(b.buffer, b.byteOffset, b.byteLength) : b], { type: message.type }));
    const link = document.createElement("a");
    link.href = address;
    link.download = message.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  };
  model.on("msg:custom", answer);
  model.on("change", write);
  write();
  el.append(button, note);
  return () => { model.off("msg:custom", answer); model.off("change", write); };
}
export default { render };
