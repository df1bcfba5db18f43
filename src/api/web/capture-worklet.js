/** Runs on the audio thread: hands the microphone's samples to the page in small blocks. */

const BLOCK = 512; // samples: at most 12 ms are lost when recording stops

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Float32Array(BLOCK);
    this.filled = 0;
  }

  /** `inputs[0][0]`: 128 mono samples; nothing while no source is connected. */
  process(inputs) {
    const samples = inputs[0][0] ?? [];
    for (const sample of samples) {
      this.block[this.filled++] = sample;
      if (this.filled === BLOCK) {
        this.port.postMessage(this.block);
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("capture", Capture);
