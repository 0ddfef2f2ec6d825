// @banner@
// Labels what an analog pin measures, @rate@ times a second, and prints what was found.
#include <@name@.h>

static @name@_state_t state;
static const unsigned long PERIOD_US = 1000000UL / @NAME@_RATE;
static unsigned long due;

void setup() {
  Serial.begin(115200);
  @name@_init(&state);
  due = micros();
}

void loop() {
  if ((long)(micros() - due) < 0) return;
  due += PERIOD_US;
  mh_event_t event;
  // Any gain will do from about 50 units a wave on; MH_MISSING where the electrode is off.
  @name@_step(&state, analogRead(A0), &event);
  if (event.label == MH_NO_EVENT) return;
  Serial.print(@name@_labels[event.label]);
  Serial.print(' ');
  Serial.print(event.onset);
  Serial.print(' ');
  Serial.println(event.offset);
}
