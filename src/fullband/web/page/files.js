/* Files in and out, by Mediabunny: read at their own sample rate, written as WAV, FLAC or Opus. */

import {
  ALL_FORMATS,
  AudioSample,
  AudioSampleSink,
  AudioSampleSource,
  BlobSource,
  BufferTarget,
  FlacOutputFormat,
  Input,
  OggOutputFormat,
  Output,
  WavOutputFormat,
} from "./vendor/mediabunny.min.mjs";

export const MOST_MINUTES = 30;
const MOST_CHANNELS = 8;
const PIECE = 1 << 15; /* frames handed to an encoder at a time */

/** What cannot be done, in words for whoever sees the page. */
export class FileError extends Error {}

/** A file's audio: `{ channels, sampleRate }`, channels being Float32Arrays.

    Throws FileError where there is none that can be read. */
export async function readAudio(file) {
  const input = new Input({ source: new BlobSource(file), formats: ALL_FORMATS });
  try {
    const track = await input.getPrimaryAudioTrack().catch(() => {
      throw new FileError("is not audio or video in a format that this page reads");
    });
    if (!track) throw new FileError("holds no audio");
    if (!(await track.canDecode())) {
      const codec = (await track.getCodec?.()) ?? track.codec ?? "its audio";
      throw new FileError(`${codec} is not decoded by this browser; save it as WAV or FLAC first`);
    }
    return await decoded(track);
  } catch (error) {
    if (error instanceof FileError) throw error;
    throw new FileError(`is damaged or cannot be read (${error?.message ?? error})`);
  } finally {
    input.dispose?.();
  }
}

async function decoded(track) {
  const pieces = [];
  let sampleRate = 0;
  let count = 0;
  let frames = 0;
  for await (const sample of new AudioSampleSink(track).samples()) {
    if (!sampleRate) [sampleRate, count] = [sample.sampleRate, sample.numberOfChannels];
    const changed = sample.sampleRate !== sampleRate || sample.numberOfChannels !== count;
    if (changed || count > MOST_CHANNELS) {
      sample.close();
      if (changed) throw new FileError("changes its sample rate or its channels on the way");
      throw new FileError(`has ${count} channels; up to ${MOST_CHANNELS} are taken`);
    }
    const piece = Array.from({ length: count }, (_, planeIndex) => {
      const plane = new Float32Array(sample.numberOfFrames);
      sample.copyTo(plane, { planeIndex, format: "f32-planar" });
      return plane;
    });
    sample.close();
    frames += piece[0].length;
    if (frames > MOST_MINUTES * 60 * sampleRate) {
      throw new FileError(`is longer than ${MOST_MINUTES} minutes; the command line takes any length`);
    }
    pieces.push(piece);
  }
  if (!frames) throw new FileError("holds no samples");
  const channels = Array.from({ length: count }, () => new Float32Array(frames));
  let at = 0;
  for (const piece of pieces) {
    piece.forEach((plane, channel) => channels[channel].set(plane, at));
    at += piece[0].length;
  }
  for (const channel of channels) {
    for (let i = 0; i < frames; i++) {
      if (!Number.isFinite(channel[i])) throw new FileError("holds samples that are not numbers");
    }
  }
  return { channels, sampleRate };
}

const FORMATS = {
  "wav-16": { ending: "wav", type: "audio/wav", codec: "pcm-s16", format: () => new WavOutputFormat() },
  "wav-24": { ending: "wav", type: "audio/wav", codec: "pcm-s24", format: () => new WavOutputFormat() },
  "wav-float": { ending: "wav", type: "audio/wav", codec: "pcm-f32", format: () => new WavOutputFormat() },
  flac: { ending: "flac", type: "audio/flac", codec: "flac", format: () => new FlacOutputFormat() },
  opus: {
    ending: "opus",
    type: "audio/ogg",
    codec: "opus",
    format: () => new OggOutputFormat(),
    bitrate: (channels) => 128_000 * channels,
  },
};

/** The audio as a file: `{ blob, ending }`. Whole numbers are limited to full scale. */
export async function writeAudio(channels, sampleRate, name) {
  const { ending, type, codec, format, bitrate } = FORMATS[name];
  if (codec === "flac") await withFlac();
  const target = new BufferTarget();
  const output = new Output({ format: format(), target });
  const settings = bitrate ? { codec, bitrate: bitrate(channels.length) } : { codec };
  const source = new AudioSampleSource(settings);
  output.addAudioTrack(source);
  await output.start();
  const length = channels[0].length;
  for (let at = 0; at < length; at += PIECE) {
    const frames = Math.min(PIECE, length - at);
    const data = new Float32Array(frames * channels.length);
    channels.forEach((channel, i) => data.set(channel.subarray(at, at + frames), i * frames));
    const limited = codec === "pcm-f32" ? data : data.map((v) => Math.min(1, Math.max(-1, v)));
    const sample = new AudioSample({
      data: limited,
      format: "f32-planar",
      numberOfChannels: channels.length,
      sampleRate,
      timestamp: at / sampleRate,
    });
    await source.add(sample);
    sample.close();
  }
  await output.finalize();
  return { blob: new Blob([target.buffer], { type }), ending };
}

let flac = null;

/* Browsers decode FLAC and do not encode it; the encoder is fetched when it is wanted. */
function withFlac() {
  flac ??= import("./vendor/mediabunny-flac-encoder.min.mjs").then((module) =>
    module.registerFlacEncoder(),
  );
  return flac;
}
