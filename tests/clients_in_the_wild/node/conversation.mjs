// One conversation that every client of raw events holds: text, speech, a picture, a tool, an interruption.
import { readFileSync } from "node:fs";

const TOOL = {
  type: "function",
  name: "set_light",
  description: "Turn the light of a room on or off",
  parameters: {
    type: "object",
    properties: { room: { type: "string", enum: ["kitchen", "hall"] }, state: { type: "string", enum: ["on", "off"] } },
    required: ["room", "state"],
  },
};

/** What is played: the files named on the command line, and whether answers are spoken. */
export function script() {
  const [url, wav, png, output] = process.argv.slice(2);
  const file = readFileSync(wav);
  return {
    url,
    speech: file.subarray(file.indexOf("data") + 8),
    picture: `data:image/png;base64,${readFileSync(png).toString("base64")}`,
    output,
  };
}

/** client: {send(event), events}, an async iterator over what the server sends. Prints what was seen as JSON. */
export async function converse({ send, events }, { speech, picture, output }) {
  const seen = { errors: [], kinds: {}, answers: [], calls: [], transcript: "" };
  let sound = [];

  async function until(kind) {
    while (true) {
      const { value: event } = await events.next();
      seen.kinds[event.type] = (seen.kinds[event.type] ?? 0) + 1;
      if (event.type === "error") seen.errors.push(event.error);
      if (event.type === "response.output_audio.delta") sound.push(Buffer.from(event.delta, "base64"));
      if (event.type.endsWith("input_audio_transcription.completed")) seen.transcript = event.transcript;
      if (event.type === kind) return event;
    }
  }
  async function ended() {
    const { status, output_modalities, output } = (await until("response.done")).response;
    const told = { status, modality: output_modalities[0], output, sound: Buffer.concat(sound).toString("base64") };
    sound = [];
    return told;
  }
  async function answer(response = {}) {
    send({ type: "response.create", response });
    const told = await ended();
    seen.answers.push(told);
    return told;
  }
  async function say(...content) {
    send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
    await until("conversation.item.done");
  }

  await until("session.created");
  send({ type: "session.update", session: { type: "realtime", output_modalities: [output], instructions: "Be brief." } });
  await until("session.updated");

  await say({ type: "input_text", text: "draw a red apple" });
  await answer();

  for (let first = 0; first < speech.length; first += 48000)
    send({ type: "input_audio_buffer.append", audio: speech.subarray(first, first + 48000).toString("base64") });
  send({ type: "input_audio_buffer.commit" });
  await until("conversation.item.done");
  await answer();

  await say({ type: "input_image", image_url: picture }, { type: "input_text", text: "describe the picture" });
  await answer({ output_modalities: ["text"], metadata: { omni_output: "text" } });

  await say({ type: "input_text", text: "turn the light off in the hall" });
  const call = (await answer({ tools: [TOOL], tool_choice: "required", output_modalities: ["text"] })).output[0];
  seen.calls.push({ name: call.name, arguments: JSON.parse(call.arguments) });
  send({
    type: "conversation.item.create",
    item: { type: "function_call_output", call_id: call.call_id, output: "the light is off" },
  });
  await until("conversation.item.done");

  await say({ type: "input_text", text: "draw a cat" });
  send({ type: "response.create" });
  await until("response.output_item.added");
  send({ type: "response.cancel" });
  seen.interrupted = await ended();

  await say({ type: "input_text", text: "draw a banana" });
  await answer();
  console.log(JSON.stringify(seen));
}

/** An async iterator over what a client's own emitter tells. */
export function queue(subscribe) {
  const waiting = [];
  let wake = () => {};
  subscribe((event) => {
    waiting.push(event);
    wake();
  });
  return (async function* () {
    while (true) {
      while (waiting.length) yield waiting.shift();
      await new Promise((resolve) => (wake = resolve));
    }
  })();
}
