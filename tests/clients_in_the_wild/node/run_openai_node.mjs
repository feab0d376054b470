// openai-node with the ws package, over TLS: it takes no other socket.
import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";
import { converse, queue, script } from "./conversation.mjs";

const played = script();
const client = new OpenAI({ apiKey: process.env.API_KEY, baseURL: `${played.url}/v1` });
const connection = new OpenAIRealtimeWS({ model: "omni" }, client);
connection.on("error", () => {}); // errors come as events too
await converse({ send: (event) => connection.send(event), events: queue((tell) => connection.on("event", tell)) }, played);
connection.close();
