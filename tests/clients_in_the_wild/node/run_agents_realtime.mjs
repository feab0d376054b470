// A voice agent of @openai/agents-realtime: text, speech, a picture, a tool, an interruption. Prints what it saw.
import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession, tool } from "@openai/agents-realtime";
import { z } from "zod";
import { script } from "./conversation.mjs";

const { url, speech, picture, output } = script();
const seen = { errors: [], called: [], answers: [], heard: [] };
let sound = [];
const setLight = tool({
  name: "set_light",
  description: "Turn the light of a room on or off",
  parameters: z.object({ room: z.enum(["kitchen", "hall"]), state: z.enum(["on", "off"]) }),
  execute: async ({ room, state }) => {
    seen.called.push({ room, state });
    return `${room} is ${state}`;
  },
});
const agent = new RealtimeAgent({ name: "house", instructions: "Be brief.", tools: [setLight] });
const transport = new OpenAIRealtimeWebSocket({ url: `${url}/v1/realtime?model=omni`, useInsecureApiKey: true });
const session = new RealtimeSession(agent, {
  transport,
  model: "omni",
  config: { outputModalities: [output], audio: { input: { turnDetection: null } } },
});
session.on("error", (error) => seen.errors.push(error.error ?? String(error)));
session.on("audio", (event) => sound.push(Buffer.from(event.data)));
session.on("transport_event", (event) => {
  if (event.type.endsWith("input_audio_transcription.completed")) seen.heard.push(event.transcript);
  if (event.type !== "response.done") return;
  const { status, output } = event.response;
  seen.answers.push({ status, output, sound: Buffer.concat(sound).toString("base64") });
  sound = [];
});

function next(kind) {
  return new Promise((resolve) => {
    const listen = (event) => {
      if (event.type !== kind) return;
      session.off("transport_event", listen);
      resolve(event);
    };
    session.on("transport_event", listen);
  });
}

async function ended(ask, count = 1) {
  const all = (async () => {
    for (let i = 0; i < count; i++) await next("response.done");
  })();
  await ask();
  await all;
}

await session.connect({ apiKey: process.env.API_KEY ?? "any" });
await ended(() => session.sendMessage("draw a red apple"));
await ended(() => {
  session.sendAudio(speech.buffer.slice(speech.byteOffset, speech.byteOffset + speech.length), { commit: true });
  transport.sendEvent({ type: "response.create" });
});
const content = [{ type: "input_image", image: picture }, { type: "input_text", text: "describe the picture" }];
await ended(() => session.sendMessage({ type: "message", role: "user", content }));
await ended(() => session.sendMessage("set the light: turn it off in the hall"), 2); // the call, then what is said of it
const begun = next("response.output_item.added");
await ended(async () => {
  session.sendMessage("draw a cat");
  await begun;
  if (output === "audio") session.interrupt();
  else transport.sendEvent({ type: "response.cancel" }); // it interrupts nothing but sound
});
await ended(() => session.sendMessage("draw a banana"));
seen.history = session.history;
console.log(JSON.stringify(seen));
session.close();
