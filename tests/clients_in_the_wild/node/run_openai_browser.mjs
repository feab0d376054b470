// openai-node as it runs in browsers: no headers there, so the key travels as a subprotocol.
import OpenAI from "openai";
import { OpenAIRealtimeWebSocket } from "openai/realtime/websocket";
import { WebSocket } from "ws";
import { converse, queue, script } from "./conversation.mjs";

globalThis.WebSocket = WebSocket; // a browser has its own
const played = script();
const client = new OpenAI({ apiKey: process.env.API_KEY, baseURL: `${played.url}/v1`, dangerouslyAllowBrowser: true });
const connection = new OpenAIRealtimeWebSocket({ model: "omni", dangerouslyAllowBrowser: true }, client);
connection.on("error", () => {}); // errors come as events too
const events = queue((tell) => connection.on("event", tell));
await new Promise((resolve) => connection.socket.addEventListener("open", resolve));
await converse({ send: (event) => connection.send(event), events }, played);
connection.close();
